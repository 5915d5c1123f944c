"""What pools counted, by name: pools of one name added up, and those that are closed kept."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field

from numapool.pools.pool import BufferPool, PoolCounts

#: What only grows, of :class:`PoolCounts`.
GROWING = ("hits", "larger_hits", "misses", "spills", "trimmed_bytes")

Grown = dict[int, dict[str, int]]


def _add(sums: Grown, more: Grown) -> None:
    for node, counts in more.items():
        mine = sums.setdefault(node, dict.fromkeys(GROWING, 0))
        for name, value in counts.items():
            mine[name] += value


@dataclass(kw_only=True, slots=True)
class PoolSums:
    """Pools of one name: counts of those that are open, and what grew, by node."""

    open_counts: dict[int, list[PoolCounts]] = field(default_factory=dict)
    grown: Grown = field(default_factory=dict)
    max_bytes: int | None = None


@dataclass(slots=True)
class _Seen:
    pool: weakref.ref[BufferPool]
    name: str
    grown: Grown


class PoolTotals:
    """Keeps the last counts of each pool, so that no sum falls when a pool is closed.

    What a pool counts between the last look and its end is lost.
    """

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}
        self._gone: dict[str, Grown] = {}

    def look(self, pools: Iterable[BufferPool]) -> dict[str, PoolSums]:
        """Return the sums by name, those of names whose pools are all closed too."""
        sums: dict[str, PoolSums] = {}
        still_open = set()
        for pool in pools:
            statistics = pool.statistics()
            if pool.closed:
                continue  # meanwhile, perhaps: its counts are gone
            mine = sums.setdefault(pool.name, PoolSums())
            if pool.max_bytes is not None:
                mine.max_bytes = (mine.max_bytes or 0) + pool.max_bytes
            grown: Grown = {}
            for node, counts in statistics.by_node.items():
                mine.open_counts.setdefault(node, []).append(counts)
                grown[node] = {name: getattr(counts, name) for name in GROWING}
            before = self._seen.get(id(pool))
            if before is not None and before.pool() is not pool:
                self._retire(id(pool))  # its number is another pool's by now
            self._seen[id(pool)] = _Seen(weakref.ref(pool), pool.name, grown)
            still_open.add(id(pool))
        for number in self._seen.keys() - still_open:
            self._retire(number)
        for name, grown in self._gone.items():
            _add(sums.setdefault(name, PoolSums()).grown, grown)
        for seen in self._seen.values():
            _add(sums[seen.name].grown, seen.grown)
        return sums

    def _retire(self, number: int) -> None:
        seen = self._seen.pop(number)
        _add(self._gone.setdefault(seen.name, {}), seen.grown)

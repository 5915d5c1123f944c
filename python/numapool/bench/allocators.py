"""What memory costs from NumPy, libnuma, numapool and its pool: got, touched, given back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numapool import _core
from numapool.base.errors import NumapoolError
from numapool.bench.libnuma import Libnuma
from numapool.bench.report import Allocation
from numapool.bench.rounds import figure_of, repeat_all
from numapool.bench.site import Site
from numapool.memory.object_memory import placement_of
from numapool.pools.pool import BufferPool
from numapool.threads.affinity import Pinned, pin, unpin

_MIB = 1 << 20
SIZES = (1 * _MIB, 64 * _MIB)
NAMES = ("np.empty", "numa_alloc_onnode", "allocate", "pool")
# libnuma binds: on a node without room, touching would call for the OOM killer.
_ROOM = 8
_REPEATS_NS = 200_000  # shorter operations are repeated, so that they can be timed


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to get memory and to give it back."""

    name: str
    get: Callable[[], Any]
    give: Callable[[Any], object]


def _sizes(site: Site) -> tuple[int, ...]:
    most = site.options.size_bytes
    return tuple(size for size in SIZES if most is None or size <= most)


def figures(site: Site) -> int:
    """How many there are to measure."""
    return 0 if site.near(site.sources[0]) is None else len(_sizes(site))


def measure(site: Site) -> tuple[Allocation, ...]:
    """Compare on the first node that has CPUs, from a thread there."""
    node = site.near(site.sources[0])
    if node is None:
        return ()
    found: list[Allocation] = []
    with _on_node(site), BufferPool(site.allocator) as pool:
        for size in _sizes(site):
            found += _compare(site, node, size, pool)
    return tuple(found)


@contextlib.contextmanager
def _on_node(site: Site) -> Any:
    """Run the calling thread near the memory, where the system allows it."""
    pinned: Pinned | None = None
    with contextlib.suppress(NumapoolError, OSError):
        pinned = pin(site.sources[0], site.topology)
    try:
        yield
    finally:
        if pinned is not None:
            unpin(pinned)


def _ways(site: Site, node: int, size: int, pool: BufferPool) -> list[_Way]:
    import numpy as np

    allocator = site.allocator
    ways = [
        _Way("np.empty", lambda: np.empty(size, np.uint8), lambda _: None),
        _Way("allocate", lambda: allocator.allocate(size, node), lambda one: one.close()),
        _Way("pool", lambda: pool.acquire(size, node), lambda one: one.close()),
    ]
    free = site.free_bytes(node)
    with contextlib.suppress(OSError):
        library = Libnuma()
        if free is not None and free >= _ROOM * size:
            ways.insert(
                1,
                _Way("numa_alloc_onnode", lambda: library.allocate(size, node), library.free),
            )
    return ways


def _time_ns(way: _Way, step: int, touch: bool, repeats: int) -> float:
    """Do it so many times; nanoseconds for one."""
    begin = time.perf_counter_ns()
    for _ in range(repeats):
        memory = way.get()
        if touch:
            _core.bench_touch(memory, step)
        way.give(memory)
        del memory
    return (time.perf_counter_ns() - begin) / repeats


def _repeats(way: _Way, step: int, touch: bool) -> int:
    """Return how often to do it, so that it takes long enough to be timed; this also warms up."""
    _time_ns(way, step, touch, 1)
    once = _time_ns(way, step, touch, 1)
    return max(1, min(1000, int(_REPEATS_NS / max(once, 1))))


def _bytes_on(way: _Way, node: int, size: int, step: int) -> int:
    """Look where the memory is once it is touched."""
    memory = way.get()
    _core.bench_touch(memory, step)
    found = placement_of(memory).bytes_by_node.get(node, 0)
    way.give(memory)
    return min(found, size)


def _compare(site: Site, node: int, size: int, pool: BufferPool) -> list[Allocation]:
    name = f"allocators, {size // _MIB} MiB"
    pace = site.clock.take(name)
    if pace is None:
        site.left_out.append(name)
        return []
    step = _core.base_page_bytes()
    ways = _ways(site, node, size, pool)
    whole: list[list[float]] = [[] for _ in ways]
    bare: list[list[float]] = [[] for _ in ways]
    repeats = [(_repeats(way, step, True), _repeats(way, step, False)) for way in ways]

    def sample(rounds: int) -> list[list[float]]:
        """Take turns, so that the machine's noise hits all alike."""
        out: list[list[float]] = [[] for _ in range(2 * len(ways))]
        for _ in range(rounds):
            for i, (way, (with_touch, without)) in enumerate(zip(ways, repeats, strict=True)):
                out[i].append(_time_ns(way, step, True, with_touch))
                out[len(ways) + i].append(_time_ns(way, step, False, without))
        return out

    repeat_all(sample, pace, [*whole, *bare])
    return [
        Allocation(
            node_id=node,
            name=way.name,
            size_bytes=size,
            whole_ns=figure_of(times),
            get_ns=figure_of(gets),
            bytes_on_node=_bytes_on(way, node, size, step),
        )
        for way, times, gets in zip(ways, whole, bare, strict=True)
    ]

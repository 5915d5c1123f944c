"""Nodes that are alike share a card, where a machine has too many for a card each."""

from __future__ import annotations

from dataclasses import dataclass

from numapool.base.units import size_text
from numapool.machine.topology import NumaTopology
from numapool.picture.machine import NodeFacts
from numapool.picture.many import MOST_SINGLE, UNKNOWN, classes_of, listed, range_text


@dataclass(frozen=True, kw_only=True, slots=True)
class AlikeFacts(NodeFacts):
    """Several nodes that are alike, as they are shown: `node` is the first."""

    members: tuple[NodeFacts, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Return the ids of all."""
        return tuple(one.node.node_id for one in self.members)

    @property
    def title(self) -> str:
        """Return their names."""
        return f"nodes {listed(self.ids)}"

    @property
    def held_share(self) -> float | None:
        """Return the part of their memory that is in use; None where that is unknown."""
        shares = [one for one in (member.held_share for member in self.members) if one is not None]
        return sum(shares) / len(shares) if len(shares) == len(self.members) else None

    @property
    def memory(self) -> str:
        """Return the memory of each in words."""
        total = self.node.total_memory_bytes
        if not total:
            return self.members[0].memory
        free = range_text(one.free_bytes for one in self.members)
        words = f"{size_text(total)} of memory each"
        return words if free == UNKNOWN else f"{words}, {free} free"

    @property
    def cpus(self) -> str:
        """Return how many CPUs each has."""
        words = self.members[0].cpus
        return f"{words} each" if self.node.cpu_cores else words

    @property
    def cpu_ranges(self) -> tuple[str, ...]:
        """Return nothing: each has others."""
        return ()


def alike(topology: NumaTopology, facts: tuple[NodeFacts, ...]) -> tuple[NodeFacts, ...]:
    """Return the cards to show if nodes are too many for a card each: equal nodes share one.

    Nodes with devices stand alone.
    """
    if len(facts) <= MOST_SINGLE:
        return facts
    classes = classes_of(topology) or [[i] for i in range(len(facts))]
    number = {i: k for k, some in enumerate(classes) for i in some}
    groups: dict[object, list[NodeFacts]] = {}
    for place, one in enumerate(facts):
        node = one.node
        look = (node.total_memory_bytes, len(node.cpu_cores), one.speed, one.remark, one.allowed)
        key = (number[place], look, node.node_id if one.devices else None)
        groups.setdefault(key, []).append(one)
    return tuple(some[0] if len(some) == 1 else _together(some) for some in groups.values())


def _together(some: list[NodeFacts]) -> AlikeFacts:
    first = some[0]
    return AlikeFacts(
        node=first.node,
        free_bytes=first.free_bytes,
        allowed=first.allowed,
        by_default=first.by_default,
        devices={},
        members=tuple(some),
    )

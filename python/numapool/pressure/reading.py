"""What a monitor saw last: how much memory there is to be had, and where."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from numapool.pressure.policy import SOURCES

_Look = tuple[
    tuple[int, int] | None,
    list[tuple[int, int, int, int, int]],
    tuple[int, int] | None,
    int | None,
    tuple[int, int, int] | None,
]


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSupply:
    """The memory of one node.

    Attributes
    ----------
    node_id : int
    available_bytes : int
        Free memory above the kernel's reserve, and clean file cache.
    total_bytes, free_bytes : int
    reserve_bytes : int
        What the kernel keeps for itself: the high watermarks of the node's zones, and their
        protection against requests for other zones (/proc/zoneinfo).
    """

    node_id: int
    available_bytes: int
    total_bytes: int
    free_bytes: int
    reserve_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PressureReading:
    """What the sources said at one look; None where a source is not watched.

    Attributes
    ----------
    available_bytes, total_bytes : int or None
        Of the machine (MemAvailable, MemTotal).
    nodes : tuple of NodeSupply
    cgroup_limit_bytes, cgroup_needed_bytes : int or None
        Of the cgroup with the least room: its limit, and what is charged, clean file cache left
        out.
    balloon_bytes : int or None
        What the hypervisor has taken.
    stall_source : str or None
    stall_some_s, stall_full_s : float or None
        Totals since some time in the past.
    """

    available_bytes: int | None
    total_bytes: int | None
    nodes: tuple[NodeSupply, ...]
    cgroup_limit_bytes: int | None
    cgroup_needed_bytes: int | None
    balloon_bytes: int | None
    stall_source: str | None
    stall_some_s: float | None
    stall_full_s: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the reading as a dictionary fit for JSON."""
        return asdict(self)


def reading_of(look: _Look | None) -> PressureReading | None:
    """Make a reading of what the core hands out."""
    if look is None:
        return None
    machine, nodes, cgroup, balloon, stall = look
    available, total = machine or (None, None)
    limit, needed = cgroup or (None, None)
    source, some_us, full_us = stall or (None, None, None)
    return PressureReading(
        available_bytes=available,
        total_bytes=total,
        nodes=tuple(
            NodeSupply(
                node_id=node,
                available_bytes=has,
                total_bytes=of,
                free_bytes=free,
                reserve_bytes=reserve,
            )
            for node, has, of, free, reserve in nodes
        ),
        cgroup_limit_bytes=limit,
        cgroup_needed_bytes=needed,
        balloon_bytes=balloon,
        stall_source=None if source is None else SOURCES[source],
        stall_some_s=None if some_us is None else some_us / 1e6,
        stall_full_s=None if full_us is None else full_us / 1e6,
    )

"""What a monitor saw last: how much memory is available, and where."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from numapool import _core
from numapool.pressure.policy import NAMES


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
        Of the machine (MemAvailable, MemTotal), without the nodes that are used only by name
        (:attr:`NumaTopology.default_node_ids`).
    nodes : tuple of NodeSupply
    cgroup_limit_bytes, cgroup_needed_bytes : int or None
        Of the cgroup with the least room: its limit, and the memory charged, clean file cache left
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


def reading_of(look: _core.PressureLook | None) -> PressureReading | None:
    """Make a reading of what the core hands out."""
    if look is None:
        return None
    machine, cgroup, stall = look.machine, look.cgroup, look.stall
    return PressureReading(
        available_bytes=machine and machine.available_bytes,
        total_bytes=machine and machine.total_bytes,
        nodes=tuple(
            NodeSupply(
                node_id=node.node_id,
                available_bytes=node.available_bytes,
                total_bytes=node.total_bytes,
                free_bytes=node.free_bytes,
                reserve_bytes=node.reserve_bytes,
            )
            for node in look.nodes
        ),
        cgroup_limit_bytes=cgroup and cgroup.limit_bytes,
        cgroup_needed_bytes=cgroup and cgroup.needed_bytes,
        balloon_bytes=look.balloon_bytes,
        stall_source=stall and NAMES[stall.source],
        stall_some_s=stall and stall.some_us / 1e6,
        stall_full_s=stall and stall.full_us / 1e6,
    )

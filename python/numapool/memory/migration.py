"""Moves memory that somebody else allocated to a node, in place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, SupportsIndex

from numapool import _core
from numapool.base import arguments
from numapool.memory.object_memory import extents_of
from numapool.memory.placement import Placement


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveReport:
    """What a move of pages came to.

    Attributes
    ----------
    node_id : int
        The node asked for.
    placement : Placement
        Where the pages are now.
    moved_bytes : int
        Bytes that are on the node now and were not before.
    kept_bytes : dict[str, int]
        Resident bytes that stayed elsewhere, by the reason: ``"shared"`` (other processes have the
        pages too), ``"file"`` (pages of a file are the page cache's), ``"full"`` (the node has no
        room), ``"busy"`` (in use by the kernel or a device), ``"other"`` (the system moves no such
        pages). A reason that did not occur is not there.
    """

    node_id: int
    placement: Placement
    moved_bytes: int
    kept_bytes: dict[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every resident byte is known to be on the node."""
        return self.placement.bytes_by_node.keys() <= {self.node_id} and (
            self.placement.unknown_bytes == 0
        )


def move(obj: Any, node: SupportsIndex) -> MoveReport:
    """Move the pages of an object's memory to a node; every byte keeps its value and address.

    Whole pages are moved, with what else is on them. No memory policy is set: pages that are
    touched later go where the policies in force say, and the kernel's automatic balancing may move
    these again. Reserved (hugetlb) pages take their place in the reserve along, for good. A
    :class:`NodeBuffer` that is given itself is migrated; its ``node_id`` follows.

    Parameters
    ----------
    obj : object
        As for :func:`placement_of`.
    node : int
        The node to move to.

    Returns
    -------
    MoveReport
        What moved, and what did not and why.

    Raises
    ------
    NodeNotFoundError
        The machine has no such node.
    PlacementError
        The node has no memory, or this process is not allowed to use it.
    BufferError
        Some of the pages are held (:meth:`NodeBuffer.hold`); nothing was moved.
    UnsupportedError
        The system refuses move_pages(2), as container profiles do.
    TypeError, ValueError
        As for :func:`placement_of`.
    """
    target = arguments.node("node", node)
    if isinstance(obj, _core.NodeBuffer):
        before = obj.placement()
        after = obj.migrate(target)
        kept = {"full": sum(after.bytes_by_node.values()) - after.bytes_by_node.get(target, 0)}
    else:
        before, after, shared, busy, full, other, file = _core.move_extents(extents_of(obj), target)
        kept = {"shared": shared, "busy": busy, "full": full, "other": other}
        # Not what is on the node all the same.
        elsewhere = sum(after.bytes_by_node.values()) - after.bytes_by_node.get(target, 0)
        kept["file"] = max(0, min(file, elsewhere - sum(kept.values())))
    return MoveReport(
        node_id=target,
        placement=after,
        moved_bytes=max(
            0, after.bytes_by_node.get(target, 0) - before.bytes_by_node.get(target, 0)
        ),
        kept_bytes={reason: count for reason, count in kept.items() if count},
    )

"""Migrates memory to a node, in place: what somebody else allocated, and what a buffer holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from numapool import _core
from numapool.base import renamed
from numapool.machine.node_set import NodesLike, named_of, node_here
from numapool.machine.topology import current_topology
from numapool.memory.object_memory import extents_of
from numapool.memory.placement import Placement


@dataclass(frozen=True, kw_only=True, slots=True)
class MigrationReport:
    """What a migration of pages came to.

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

    def __getattr__(self, name: str) -> Any:
        # The old result of NodeBuffer.migrate(), kept for one release.
        if name.startswith("_") or (not hasattr(Placement, name) and name not in _OF_PLACEMENT):
            raise AttributeError(f"MigrationReport has no attribute {name!r}", name=name, obj=self)
        renamed.warn_of(f"{name} of what migrate() returns", f"placement.{name}")
        return getattr(self.placement, name)


_OF_PLACEMENT = frozenset(one.name for one in fields(Placement))


def report_of(
    node: int, before: Placement, after: Placement, kept: dict[str, int] | None = None
) -> MigrationReport:
    """Return the report of a migration by where the pages were and are; the core calls it too.

    `kept` tells the bytes that stayed, by reason; by default the node had no room for what is
    elsewhere.
    """
    if kept is None:
        kept = {"full": elsewhere(after, node)}
    return MigrationReport(
        node_id=node,
        placement=after,
        moved_bytes=max(0, after.bytes_by_node.get(node, 0) - before.bytes_by_node.get(node, 0)),
        kept_bytes={reason: count for reason, count in kept.items() if count},
    )


def elsewhere(placement: Placement, node: int) -> int:
    """Return the resident bytes that are on other nodes."""
    return sum(placement.bytes_by_node.values()) - placement.bytes_by_node.get(node, 0)


def target_of(node: NodesLike | None, placement: Callable[[], Placement]) -> int:
    """Return the node to move memory to; the core calls it too.

    Parameters
    ----------
    node : NodesLike or None
        One node, or several to choose from.
    placement : callable
        Says where the memory is; asked if there are several.
    """
    nodes = named_of("node", node, 4)
    if len(nodes) == 1:
        return nodes[0]
    machine = current_topology()
    for one in nodes:
        machine.node(one)
    held = placement().bytes_by_node
    total = sum(held.values())
    near = [one for one in machine.nearest(node_here()) if one in nodes]
    for one in near:
        if held.get(one) == total:
            return one
    for one in near:
        if _core.room_for_pages(one) >= total - held.get(one, 0):
            return one
    return (near or nodes)[0]


def migrate(obj: Any, node: NodesLike | None) -> MigrationReport:
    """Move the pages of an object's memory to a node; every byte keeps its value and address.

    Whole pages are moved, with what else is on them. No memory policy is set: pages that are
    touched later go where the policies in force say, and the kernel's automatic balancing may move
    these again. Reserved (hugetlb) pages take their place in the reserve along, for good. A
    :class:`NodeBuffer` that is given itself is migrated; its ``node_id`` follows.

    Parameters
    ----------
    obj : object
        As for :func:`placement_of`.
    node : NodesLike or None
        The node to move to; None, as of a device whose node is unknown, is that of the calling
        thread, with a warning. Of several nodes, the one that has all of it already, else the
        nearest to the calling thread that has room; the report's ``node_id`` says which it was.

    Returns
    -------
    MigrationReport
        What moved, and what did not and why.

    Raises
    ------
    NodeNotFoundError
        The machine has no such node.
    PlacementError
        The node has no memory, or this process is not allowed to use it.
    BufferError
        Some of the pages are pinned (:meth:`NodeBuffer.pin`); nothing was moved.
    UnsupportedError
        The system refuses move_pages(2), as container profiles do.
    TypeError, ValueError
        As for :func:`placement_of`.
    """
    if isinstance(obj, _core.NodeBuffer):
        return obj.migrate(node)
    extents = extents_of(obj)
    target = target_of(node, lambda: _core.placement_of_extents(extents))
    moved = _core.move_extents(extents, target)
    kept = {
        "shared": moved.shared_bytes,
        "busy": moved.busy_bytes,
        "full": moved.full_bytes,
        "other": moved.other_bytes,
    }
    # Bytes that are on the node anyway do not count.
    kept["file"] = max(
        0, min(moved.file_bytes, elsewhere(moved.after, target) - sum(kept.values()))
    )
    return report_of(target, moved.before, moved.after, kept)

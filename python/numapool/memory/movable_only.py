"""Nodes whose memory is all movable: what a device pins does not stay there."""

from __future__ import annotations

from pathlib import Path

from numapool.base.warn_once import warn_once

_NODES = Path("/sys/devices/system/node")


def movable_only_nodes(folder: Path = _NODES) -> frozenset[int]:
    """Return the nodes that have memory, but none that the kernel keeps in place.

    Memory of ``ZONE_MOVABLE`` (``movable_node``, memory that was added while the machine ran, CXL)
    can be taken away again. A device's long-term pin (``FOLL_LONGTERM``: ``cudaHostRegister``,
    RDMA, io_uring buffers) therefore moves the pages to another node first.
    """
    try:
        every = _ids((folder / "has_memory").read_text())
        fixed = _ids((folder / "has_normal_memory").read_text())
    except (OSError, ValueError):
        return frozenset()  # not Linux, or not told
    return frozenset(every - fixed)


def _ids(text: str) -> set[int]:
    ids: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        ids.update(range(int(first), int(last or first) + 1))
    return ids


def warn_of_pins(node_id: int) -> None:
    """Warn, once per node, if a device's pin moves the pages that are held on this node."""
    if node_id in movable_only_nodes(_NODES):
        warn_once(
            f"movable only: {node_id}",
            f"all memory of node {node_id} is movable (ZONE_MOVABLE): when a device pins the held "
            "pages (cudaHostRegister, RDMA), the kernel moves them to another node first. Call "
            "placement() of the hold after the registration to see where they are, or use a node "
            "with normal memory",
        )

"""Where memory is, and which step of the allocation chain put it there."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from numapool import _core


class AllocationStep(enum.Enum):
    """The step of the chain *preferred → nearest → any* that an allocation used."""

    PREFERRED = _core.AllocationStep.PREFERRED.name.lower()
    """Every resident byte is on the node asked for (interleaved: spread as asked)."""
    NEAREST = _core.AllocationStep.NEAREST.name.lower()
    """Every resident byte is on one other node, the nearest that could hold it."""
    ANY = _core.AllocationStep.ANY.name.lower()
    """Split over several nodes, or somewhere that the chain did not choose."""
    UNBOUND = _core.AllocationStep.UNBOUND.name.lower()
    """The kernel accepted no memory policy; first touch decided."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where the pages of a buffer are, as the operating system said when it was asked.

    Attributes
    ----------
    bytes_by_node : dict[int, int]
        Resident bytes on each node that holds any, by ascending node id.
    not_resident_bytes : int
        Bytes whose page is not in memory: never touched, or swapped out.
    unknown_bytes : int
        Resident bytes whose node this process may not see.
    page_size_bytes : int
        Size of the largest page met: a base page, a transparent huge page, or the hugetlb size.
    method : str
        The source: ``"move_pages"``, ``"get_mempolicy"``, ``"numa_maps"`` or ``"unknown"``
        (move_pages(2), get_mempolicy(2), proc_pid_numa_maps(5)).
    """

    bytes_by_node: dict[int, int] = field(default_factory=dict)
    not_resident_bytes: int = 0
    unknown_bytes: int = 0
    page_size_bytes: int
    method: str

    @property
    def resident_bytes(self) -> int:
        """Bytes that are in memory, on whichever node."""
        return sum(self.bytes_by_node.values()) + self.unknown_bytes

    def _repr_html_(self) -> str:
        from numapool.base import html
        from numapool.base.units import size_text

        whole = self.resident_bytes + self.not_resident_bytes
        places = [(f"node {node}", size) for node, size in self.bytes_by_node.items()]
        places += [("unknown node", self.unknown_bytes), ("not in memory", self.not_resident_bytes)]
        rows = [
            (name, size_text(size), f"{size / whole:.1%}", html.bar(size / whole))
            for name, size in places
            if size
        ]
        words = f"pages of {size_text(self.page_size_bytes)}, as {self.method} says"
        return html.fragment(
            html.table(("", "bytes", "share", ""), rows),
            html.note(words),
            title=f"Placement of {size_text(whole)}",
        )

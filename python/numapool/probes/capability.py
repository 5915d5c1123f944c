"""What numapool can use on this machine, with the evidence and the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: What the main job needs: memory that is put on a node, and proof of where it is.
ESSENTIAL = frozenset({"bind", "verify"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Capability:
    """One thing that numapool can use on this machine, or not.

    Attributes
    ----------
    name : str
        What it is, the same on every machine.
    available : bool or None
        Whether it can be used; None where that could not be found out.
    detail : str
        The evidence: the operation that was tried, and the system's answer.
    remedy : str
        What to do where it is missing or limited, in a line; empty where there is nothing to do.
    """

    name: str
    available: bool | None
    detail: str
    remedy: str = ""

    @property
    def essential(self) -> bool:
        """Whether numapool's main job needs it: to put memory on a node and prove that."""
        return self.name in ESSENTIAL

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary fit for JSON."""
        return {
            "name": self.name,
            "available": self.available,
            "essential": self.essential,
            "detail": self.detail,
            "remedy": self.remedy,
        }

    def _repr_html_(self) -> str:
        return capabilities_html((self,))


class Capabilities(tuple[Capability, ...]):
    """What :func:`numapool.capabilities` returns: a tuple that notebooks show as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return capabilities_html(self)


def capabilities_html(found: tuple[Capability, ...]) -> str:
    """Return capabilities as HTML, with the remedy below the evidence."""
    from numapool.base import html

    rows = [
        (
            html.strong(one.name) if one.essential else one.name,
            html.mark(one.available, essential=one.essential),
            html.join((one.detail, html.Html("<br>"), html.note(one.remedy)))
            if one.remedy
            else one.detail,
        )
        for one in found
    ]
    headings = ("capability", "available", "evidence, and what can be done")
    return html.fragment(html.table(headings, rows, left=(0, 1, 2)))

"""What a race comes to: the ratio of numapool's time to a peer's, kept with the benchmark."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

_KEY = "figures"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One comparison with one peer.

    Every ratio is numapool's time over the peer's time in the same round: below 1 numapool is the
    faster one. Times are medians in nanoseconds for one unit of `what`.
    """

    what: str
    condition: str
    peer: str
    numapool_ns: float
    peer_ns: float
    ratio: float
    ratio_min: float
    ratio_max: float
    rounds: int
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the target is met, in a word; empty where there is none."""
        if self.at_most is None:
            return ""
        return "met" if (self.at_least or 0) <= self.ratio <= self.at_most else "MISSED"

    @property
    def target(self) -> str:
        """The target for the ratio; empty where there is none."""
        if self.at_most is None:
            return ""
        if self.at_least is None:
            return f"<= {self.at_most:g}"
        return f"{self.at_least:g} to {self.at_most:g}"


def record(
    benchmark: BenchmarkFixture,
    *,
    what: str,
    peer: str,
    ours_ns: Sequence[float],
    peer_ns: Sequence[float],
    condition: str = "",
    at_most: float | None = None,
    at_least: float | None = None,
    note: str = "",
    repeats: int = 1,
) -> Figure:
    """Keep the comparison in the benchmark's ``extra_info``, from where the summary takes it.

    Parameters
    ----------
    what : str
        The work, as the summary's first column shows it.
    ours_ns, peer_ns : sequence of float
        Times of numapool and the peer, one for each round, taken in turns.
    condition : str
        The state of the machine that matters here, such as "warm".
    at_most, at_least : float, optional
        The target for the median ratio.
    repeats : int
        How often one timed run does the work.
    """
    pairs = list(zip(ours_ns, peer_ns, strict=True))
    ratios = [ours / peer for ours, peer in pairs]
    figure = Figure(
        what=what,
        condition=condition,
        peer=peer,
        numapool_ns=statistics.median(ours_ns) / repeats,
        peer_ns=statistics.median(peer_ns) / repeats,
        ratio=statistics.median(ratios),
        ratio_min=min(ratios),
        ratio_max=max(ratios),
        rounds=len(ratios),
        at_most=at_most,
        at_least=at_least,
        note=note,
    )
    benchmark.extra_info.setdefault(_KEY, []).append(asdict(figure))
    return figure


def recorded(extra_info: dict[str, Any]) -> Iterable[Figure]:
    """Read the figures that a benchmark kept."""
    return (Figure(**fields) for fields in extra_info.get(_KEY, []))


def time_text(nanoseconds: float) -> str:
    """Write a time with three significant digits and its unit."""
    for limit, unit in ((1e3, "ns"), (1e6, "us"), (1e9, "ms")):
        if nanoseconds < limit:
            return f"{nanoseconds / (limit / 1e3):.3g} {unit}"
    return f"{nanoseconds / 1e9:.3g} s"


def table(figures: Iterable[Figure]) -> list[str]:
    """Lay the figures out in columns."""
    head = ("what", "state", "numapool", "peer", "its time", "ratio", "min", "max", "target", "")
    rows = [head]
    for figure in figures:
        rows.append(
            (
                figure.what,
                figure.condition,
                time_text(figure.numapool_ns),
                figure.peer,
                time_text(figure.peer_ns),
                f"{figure.ratio:.3f}",
                f"{figure.ratio_min:.3f}",
                f"{figure.ratio_max:.3f}",
                figure.target,
                figure.verdict,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]

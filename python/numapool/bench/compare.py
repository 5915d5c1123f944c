"""Compares two results: which figures are faster, slower, or the same within noise."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numapool.base.units import size_text
from numapool.bench.report import BenchReport, Figure

#: A change below this, or of figures whose rounds overlap, says nothing.
NOISE = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One figure in both results.

    Attributes
    ----------
    section : str
        ``"latency"``, ``"read"``, ..., ``"loaded"``, ``"pages"``, ``"allocators"``, ``"device"``.
    what : str
        Which figure of it, in words.
    unit : str
        ``"ns"`` or ``"bytes/s"``.
    before, after : float
        The medians.
    gain : float
        How many times better it became: above 1 faster, whatever the unit.
    verdict : str
        ``"faster"``, ``"slower"``, or ``"same"`` where the change is within the noise.
    """

    section: str
    what: str
    unit: str
    before: float
    after: float
    gain: float
    verdict: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """All figures that both results have.

    Attributes
    ----------
    changes : tuple of Change
    only_before, only_after : tuple of str
        Figures that one result alone has.
    differences : tuple of str
        How the two runs differ, so that their figures may.
    """

    changes: tuple[Change, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    differences: tuple[str, ...]

    def median_gain(self, section: str) -> float | None:
        """Return the median gain of a section; None where it has none."""
        gains = [one.gain for one in self.changes if one.section == section]
        return statistics.median(gains) if gains else None

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``numapool bench --compare A B --json`` prints."""
        return {"schema": "numapool-bench-compare/1", **dataclasses.asdict(self)}


def compare(before: BenchReport, after: BenchReport) -> Comparison:
    """Compare two results.

    A figure is faster or slower if its median changed by more than 5 % and the rounds of the two
    results do not overlap: the worst of the better is better than the best of the worse.
    """
    first, second = dict(_figures(before)), dict(_figures(after))
    changes = [_change(key, figure, second[key]) for key, figure in first.items() if key in second]
    return Comparison(
        changes=tuple(changes),
        only_before=tuple(_name(key) for key in first if key not in second),
        only_after=tuple(_name(key) for key in second if key not in first),
        differences=tuple(_differences(before, after)),
    )


_Key = tuple[str, str, str]


def _name(key: _Key) -> str:
    return f"{key[0]}: {key[1]}"


def _figures(report: BenchReport) -> Iterator[tuple[_Key, Figure]]:
    """Give every figure with its section, its name and its unit."""
    for matrix in report.matrices:
        for cell in matrix.cells:
            yield (matrix.name, f"node {cell.source} to {cell.target}", matrix.unit), cell.figure
    for point in report.loaded:
        what = f"node {point.source} to {point.target}, pause {point.pause}"
        yield ("loaded", f"{what}, latency", "ns"), point.latency_ns
        yield ("loaded", f"{what}, load", "bytes/s"), point.load_bytes_s
    for page in report.pages:
        what = f"{page.kind} {size_text(page.page_bytes)}"
        for name, unit, figure in (
            ("latency", "ns", page.latency_ns),
            ("page faults", "bytes/s", page.touch_bytes_s),
            ("populating", "bytes/s", page.populate_bytes_s),
        ):
            if figure is not None:
                yield ("pages", f"{what}, {name}", unit), figure
    for reach in report.reach:
        what = f"{reach.lines} lines, {size_text(reach.page_bytes)} pages"
        yield ("reach", what, "ns"), reach.latency_ns
    for one in report.allocations:
        what = f"{one.name}, {size_text(one.size_bytes)}"
        yield ("allocators", what, "ns"), one.whole_ns
    for read in report.devices:
        yield ("device", f"{read.path} to node {read.target}", "bytes/s"), read.bytes_s


def _change(key: _Key, before: Figure, after: Figure) -> Change:
    section, what, unit = key
    # Of a rate more is better, of a time less: what the gain has above and below its line.
    above, below = (before, after) if unit == "ns" else (after, before)
    gain = above.median / below.median if below.median else 1.0
    verdict = "same"
    if gain > 1 + NOISE and above.lowest > below.highest:
        verdict = "faster"
    elif gain < 1 / (1 + NOISE) and above.highest < below.lowest:
        verdict = "slower"
    return Change(
        section=section,
        what=what,
        unit=unit,
        before=before.median,
        after=after.median,
        gain=gain,
        verdict=verdict,
    )


def _differences(before: BenchReport, after: BenchReport) -> Iterator[str]:
    for name, first, second in (
        ("numapool", before.version, after.version),
        ("processor", before.machine.get("cpu"), after.machine.get("cpu")),
        ("instructions", before.machine.get("instructions"), after.machine.get("instructions")),
        ("hypervisor", before.machine.get("hypervisor"), after.machine.get("hypervisor")),
        ("memory measured", before.size_bytes, after.size_bytes),
        ("quick", before.quick, after.quick),
    ):
        if first != second:
            yield f"{name}: {first} before, {second} after"

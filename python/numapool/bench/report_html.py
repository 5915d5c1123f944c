"""What a run found, in a notebook or a report: heat tables, and a table for each question."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numapool.base import html
from numapool.base.units import size_text

# Those of report.py, which loads this module.
BenchReport = Any
Figure = Any
Matrix = Any

_TITLES = {
    "latency": "Latency",
    "read": "Read bandwidth",
    "write": "Write bandwidth",
    "copy": "Copy bandwidth",
    "triad": "Triad bandwidth",
}


def report_html(report: BenchReport) -> str:
    """Return all that a run found as HTML."""
    cpu = report.machine.get("cpu") or "unknown processor"
    quick = " (quick)" if report.quick else ""
    return html.fragment(
        html.note(f"{cpu}; numapool {report.version}, {report.took_s:.0f} s{quick}"),
        *(_matrix(report, one) for one in report.matrices if one.cells),
        *_legend(report),
        *_loaded(report),
        *_pages(report),
        *_allocations(report),
        *_devices(report),
        *_warnings(report),
        title="Memory of this machine",
    )


def _number(value: float) -> str:
    if value < 1:
        return f"{value:.2g}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _rate(figure: Figure | None) -> str:
    return "-" if figure is None else f"{_number(figure.median / 1e9)}{_doubt(figure)}"


def _doubt(figure: Figure) -> str:
    return "" if figure.steady else " ~"


def _matrix(report: BenchReport, matrix: Matrix) -> html.Html:
    least = min(cell.figure.median for cell in matrix.cells)
    most = max(cell.figure.median for cell in matrix.cells)
    latency = matrix.unit == "ns"

    def cell(source: int, target: int) -> object:
        found = matrix.cell(source, target)
        if found is None:
            return "-"
        value = found.figure.median
        text = _number(value) if latency else _number(value / 1e9)
        text += _doubt(found.figure) + ("" if found.verified else " !")
        return html.ground(text, _badness(value, least, most, latency))

    rows = [
        (
            html.strong(f"CPUs of node {source}"),
            *(cell(source, target) for target in report.targets),
        )
        for source in report.sources
    ]
    unit = "ns" if latency else "GB/s"
    headings = ("", *(f"memory of node {target}" for target in report.targets))
    title = f"{_TITLES.get(matrix.name, matrix.name)}, {unit}"
    return html.table(headings, rows, caption=title)


def _legend(report: BenchReport) -> Iterator[html.Html]:
    cells = [cell for matrix in report.matrices for cell in matrix.cells]
    if any(not cell.figure.steady for cell in cells):
        yield html.join((html.note("~ was not steady when its time was up."), html.Html("<br>")))
    if any(not cell.verified for cell in cells):
        yield html.note("! was measured where memory or threads were not all on their nodes.")


def _badness(value: float, least: float, most: float, latency: bool) -> float:
    if most <= 1.1 * least:  # what is within a tenth of the best is as good: noise has no colour
        return 0.0
    share = (value - least) / (most - least)
    return share if latency else 1 - share


def _loaded(report: BenchReport) -> Iterator[html.Html]:
    if report.loaded:
        most = max(point.latency_ns.median for point in report.loaded)
        rows = [
            (
                f"{point.source} to {point.target}",
                _rate(point.load_bytes_s),
                f"{_number(point.latency_ns.median)}{_doubt(point.latency_ns)}",
                html.bar(point.latency_ns.median / most),
            )
            for point in report.loaded
        ]
        headings = ("nodes", "load, GB/s", "latency, ns", "")
        yield html.table(headings, rows, caption="Latency under load")


def _pages(report: BenchReport) -> Iterator[html.Html]:
    if report.pages:
        rows = [
            (
                one.node_id,
                f"{one.kind}, {size_text(one.page_bytes)}",
                "-" if one.latency_ns is None else _number(one.latency_ns.median),
                _rate(one.touch_bytes_s),
                _rate(one.populate_bytes_s),
                one.reason or "",
            )
            for one in report.pages
        ]
        headings = ("node", "pages", "latency, ns", "first touch, GB/s", "populated, GB/s", "")
        yield html.table(headings, rows, left=(0, 1, 5), caption="Sizes of pages")


def _allocations(report: BenchReport) -> Iterator[html.Html]:
    if report.allocations:
        slowest = max(one.whole_ns.median for one in report.allocations)
        rows = [
            (
                one.node_id,
                one.name,
                size_text(one.size_bytes),
                f"{_number(one.whole_ns.median / 1e6)}{_doubt(one.whole_ns)}",
                html.bar(one.whole_ns.median / slowest),
            )
            for one in report.allocations
        ]
        headings = ("node", "allocator", "size", "get, touch, give back, ms", "")
        yield html.table(headings, rows, left=(0, 1), caption="Allocators")


def _devices(report: BenchReport) -> Iterator[html.Html]:
    if report.devices:
        rows = [
            (one.path, one.place, one.target, _rate(one.bytes_s), f"{one.direct_share:.0%}")
            for one in report.devices
        ]
        headings = ("read from", "place", "into node", "GB/s", "past the page cache")
        yield html.table(headings, rows, left=(0, 1), caption="Devices")


def _warnings(report: BenchReport) -> Iterator[html.Html]:
    if report.warnings:
        rows = [(one.kind, one.text) for one in report.warnings]
        yield html.table(("warning", ""), rows, left=(0, 1))

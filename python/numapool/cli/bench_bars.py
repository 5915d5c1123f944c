"""The panels with bars of ``numapool bench --plot``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from numapool.base.units import size_text
from numapool.bench.report import BenchReport, Figure, Matrix
from numapool.cli.bench_text import TITLES, UNSTEADY, figure_text, scaled, time_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _ORANGE = "#2f6f9f", "#d98c3f"
_LONGEST_TO_SHORTEST = 25  # beyond it a linear axis shows the shortest bar as a line
_LEAST_BARS = 4  # room for so many, that one alone is no wall


def _bars(
    axes: Axes,
    names: Sequence[str],
    figures: Sequence[Figure],
    scale: Callable[[float], float],
    text: Callable[[Figure], str],
    colours: Sequence[str],
) -> None:
    """Draw bars from the left, the first on top, with their values and the range of rounds."""
    medians = [scale(figure.median) for figure in figures]
    ranges = [
        [middle - scale(figure.lowest) for middle, figure in zip(medians, figures, strict=True)],
        [scale(figure.highest) - middle for middle, figure in zip(medians, figures, strict=True)],
    ]
    places = range(len(names))
    axes.barh(places, medians, color=list(colours), height=0.62, zorder=2)
    axes.errorbar(
        medians,
        places,
        xerr=ranges,
        fmt="none",
        ecolor="#333333",
        elinewidth=0.8,
        capsize=2,
        zorder=3,
    )
    axes.set_yticks(places, names)
    spare = max(_LEAST_BARS - len(names), 0) / 2
    axes.set_ylim(len(names) - 0.5 + spare, -0.5 - spare)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6, zorder=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    most = max(scale(figure.highest) for figure in figures)
    least = min(scale(figure.lowest) for figure in figures)
    if least > 0 and most > _LONGEST_TO_SHORTEST * min(medians):
        axes.set_xscale("log")
        axes.set_xlim(least / 2, 1.2 * most)
    else:
        axes.set_xlim(0, 1.05 * most)
    for place, figure in zip(places, figures, strict=True):
        axes.text(
            1.015,
            place,
            text(figure),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
        )


def bars_of_node(axes: Axes, report: BenchReport, matrices: Sequence[Matrix]) -> None:
    """Draw what the memory of a machine with one node gives, beside its physical limit."""
    rates = [matrix for matrix in matrices if matrix.unit != "ns"]
    latency = report.matrix("latency")
    title = "Memory of the only node"
    if latency is not None and latency.cells:
        cell = latency.cells[0]
        title += f": latency {figure_text(cell.figure, 'ns', verified=cell.verified)} ns"
    axes.set_title(title)
    if not rates:
        axes.set_axis_off()
        return
    _bars(
        axes,
        [matrix.name for matrix in rates],
        [matrix.cells[0].figure for matrix in rates],
        lambda value: scaled("bytes/s", value),
        lambda figure: figure_text(figure, "bytes/s"),
        [_BLUE] * len(rates),
    )
    axes.set_xlabel("GB/s")
    limit = report.limits[0].bandwidth_bytes_s if report.limits else None
    if limit:
        axes.axvline(limit / 1e9, color=_ORANGE, linestyle="--", zorder=4)
        axes.set_xlim(right=max(1.05 * limit / 1e9, axes.get_xlim()[1]))
        axes.annotate(
            "physical limit",
            (limit / 1e9, 0),
            xycoords=("data", "axes fraction"),
            xytext=(-3, 3),
            textcoords="offset points",
            rotation=90,
            ha="right",
            color=_ORANGE,
        )


def waits_of_node(axes: Axes, matrices: Sequence[Matrix]) -> None:
    """Draw the latencies of a machine with one node: of memory, and of another CPU's cache."""
    _bars(
        axes,
        [TITLES[matrix.name].replace(", ", ",\n") for matrix in matrices],
        [matrix.cells[0].figure for matrix in matrices],
        lambda value: value,
        lambda figure: f"{figure_text(figure, 'ns')} ns",
        [_BLUE] * len(matrices),
    )
    axes.set_title("Latency by where the line is")
    axes.set_xlabel("ns")


def page_latency(axes: Axes, report: BenchReport) -> None:
    """Draw the latency of each size of pages."""
    found = [(page, page.latency_ns) for page in report.pages if page.latency_ns]
    _bars(
        axes,
        [f"{page.kind}\n{size_text(page.page_bytes)}" for page, _ in found],
        [figure for _, figure in found],
        lambda value: value,
        lambda figure: f"{figure_text(figure, 'ns')} ns",
        [_BLUE] * len(found),
    )
    axes.set_title("Latency by page size")
    axes.set_xlabel("ns")


def page_use(axes: Axes, report: BenchReport) -> None:
    """Draw how fast memory is used for the first time, by size of pages."""
    names, figures, colours = [], [], []
    for page in report.pages:
        size = size_text(page.page_bytes)
        for figure, what, colour in (
            (page.touch_bytes_s, "page faults", _ORANGE),
            (page.populate_bytes_s, "populating", _BLUE),
        ):
            if figure is not None:
                names.append(f"{page.kind} {size}\n{what}")
                figures.append(figure)
                colours.append(colour)
    _bars(
        axes,
        names,
        figures,
        lambda value: scaled("bytes/s", value),
        lambda figure: figure_text(figure, "bytes/s"),
        colours,
    )
    axes.set_title("First use of memory")
    axes.set_xlabel("GB/s")


def allocation_panel(report: BenchReport, size: int) -> Callable[[Axes], None]:
    """Return what draws the allocators' times for one size."""

    def panel(axes: Axes) -> None:
        found = [one for one in report.allocations if one.size_bytes == size]
        scale = 1e6 if max(one.whole_ns.median for one in found) >= 1e6 else 1e3
        _bars(
            axes,
            [one.name if one.name.startswith("n") else f"numapool\n{one.name}" for one in found],
            [one.whole_ns for one in found],
            lambda value: value / scale,
            lambda figure: time_text(figure.median) + ("" if figure.steady else UNSTEADY),
            [_ORANGE if one.name.startswith("n") else _BLUE for one in found],
        )
        axes.set_title(f"{size_text(size)}: get, write, give back")
        axes.set_xlabel("ms" if scale == 1e6 else "µs")

    return panel


def device_bars(axes: Axes, report: BenchReport) -> None:
    """Draw how fast devices are read."""
    _bars(
        axes,
        [
            f"{Path(one.path).name}\nto node {one.target}"
            + ("" if one.place in ("only", "unknown") else f" ({one.place})")
            for one in report.devices
        ],
        [one.bytes_s for one in report.devices],
        lambda value: scaled("bytes/s", value),
        lambda figure: figure_text(figure, "bytes/s"),
        [_BLUE] * len(report.devices),
    )
    axes.set_title("Reading from devices")
    axes.set_xlabel("GB/s")

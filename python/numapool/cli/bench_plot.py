"""The picture of ``numapool bench --plot``: heat maps of the nodes, a panel for each question."""

from __future__ import annotations

import importlib.util
import math
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from numapool.bench.report import BenchReport, Figure, LoadPoint, Matrix
from numapool.cli.bench_text import UNSTEADY, UNVERIFIED, digits, scaled, shown_unit, time_text
from numapool.errors import UnsupportedError
from numapool.text import size_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLES = {
    "latency": "Idle latency",
    "read": "Read bandwidth",
    "write": "Write bandwidth",
    "copy": "Copy bandwidth",
    "triad": "Triad bandwidth",
}
# Light is good in both: little time, and little left of the best bandwidth.
_MAPS = {"ns": "YlOrRd", "bytes/s": "YlGnBu_r"}
_BLUE, _ORANGE, _GREY = "#2f6f9f", "#d98c3f", "#8a8a8a"
_PANEL_INCHES = (4.6, 3.5)
_INCHES_A_NODE = 0.55
_DARK = 0.5
_WIDEST = 1.5  # times the longest bar
_LEAST_BARS = 4  # room for so many, that one alone is no wall
_MOST_CURVES = 8  # more lines than that nobody tells apart

Panel = Callable[["Axes"], None]


def require_matplotlib() -> None:
    """Raise unless there is matplotlib.

    Raises
    ------
    UnsupportedError
        It is not installed; the message says how to get it.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UnsupportedError(
            "--plot needs matplotlib, which is not installed: pip install 'numapool[plot]'"
        )


def draw(report: BenchReport, path: Path) -> None:
    """Draw a result.

    Parameters
    ----------
    report : BenchReport
    path : Path
        A file to be made; its suffix, ``.png`` or ``.svg``, says how.

    Raises
    ------
    UnsupportedError
        There is no matplotlib.
    OSError
        The file cannot be written.
    ValueError
        Nothing was measured that could be drawn.
    """
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Picture

    panels = _panels(report)
    if not panels:
        raise ValueError("nothing was measured that could be drawn")
    columns = min(len(panels), 2 if len(panels) in (2, 4) else 3)
    rows = math.ceil(len(panels) / columns)
    nodes = max(len(report.sources), len(report.targets))
    width = max(_PANEL_INCHES[0], 1.6 + _INCHES_A_NODE * nodes)
    height = max(_PANEL_INCHES[1], 1.2 + 0.8 * _INCHES_A_NODE * nodes)
    foot = _foot(report, int(width * columns * 15))
    with rc_context({"svg.fonttype": "none", "font.size": 9, "axes.titlesize": 10}):
        picture = Picture(figsize=(width * columns, height * rows + 0.6 + 0.16 * len(foot)))
        picture.set_layout_engine("constrained", h_pad=0.12, w_pad=0.12)
        grid = picture.subplots(rows, columns, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            panel(axes)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        picture.suptitle(_title(report), fontsize=12, fontweight="bold")
        if foot:
            picture.supxlabel("\n".join(foot), fontsize=7.5, color="#555555", x=0.01, ha="left")
        picture.savefig(path, format=path.suffix.lower().lstrip("."), dpi=130)


def _panels(report: BenchReport) -> list[Panel]:
    found: list[Panel] = []
    matrices = [matrix for matrix in report.matrices if matrix.cells]
    if len(report.sources) == len(report.targets) == 1:
        if matrices:
            found.append(lambda axes: _bars_of_node(axes, report, matrices))
    else:
        found += [_heat_panel(report, matrix) for matrix in matrices]
    if report.loaded:
        found.append(lambda axes: _curves(axes, report.loaded))
    if any(one.latency_ns for one in report.pages):
        found.append(lambda axes: _page_latency(axes, report))
    if any(one.touch_bytes_s or one.populate_bytes_s for one in report.pages):
        found.append(lambda axes: _page_use(axes, report))
    for size in dict.fromkeys(one.size_bytes for one in report.allocations):
        found.append(_allocation_panel(report, size))
    if report.devices:
        found.append(lambda axes: _device_bars(axes, report))
    return found


def _title(report: BenchReport) -> str:
    cpu = report.machine.get("cpu") or "unknown processor"
    nodes = len(set(report.sources) | set(report.targets))
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(report.began_unix_s))
    return f"{cpu}, {nodes} node{'' if nodes == 1 else 's'}, {when}"


def _foot(report: BenchReport, width: int) -> list[str]:
    cells = [cell for matrix in report.matrices for cell in matrix.cells]
    notes = []
    if any(not cell.figure.steady for cell in cells):
        notes.append(f"{UNSTEADY} not steady")
    if any(not cell.verified for cell in cells):
        notes.append(f"{UNVERIFIED} place not proved")
    notes += [f"{warning.kind}: {warning.text}" for warning in report.warnings]
    return [line for note in notes for line in textwrap.wrap(note, width)]


def _text(value: float, figure: Figure, unit: str, verified: bool) -> str:
    marks = ("" if figure.steady else UNSTEADY) + ("" if verified else UNVERIFIED)
    return f"{digits(scaled(unit, value))}{marks}"


def _heat_panel(report: BenchReport, matrix: Matrix) -> Panel:
    def panel(axes: Axes) -> None:
        import numpy as np

        values = [
            [
                math.nan
                if (one := matrix.cell(s, t)) is None
                else scaled(matrix.unit, one.figure.median)
                for t in report.targets
            ]
            for s in report.sources
        ]
        known = [value for row in values for value in row if not math.isnan(value)]
        least, most = min(known), max(known)
        # What differs by little is to look so: the scale spans a fifth at least. The dark end of
        # it, the worst, is left out, for figures are hard to read there.
        span = max(most - least, 0.2 * most)
        low, high = (least, least + span) if matrix.unit == "ns" else (most - span, most)
        dark = _DARK * span
        image = axes.imshow(
            values,
            cmap=_MAPS[matrix.unit],
            vmin=low if matrix.unit == "ns" else low - dark,
            vmax=high + dark if matrix.unit == "ns" else high,
            aspect="auto",
        )
        axes.set_facecolor("#dddddd")
        axes.set_xticks(range(len(report.targets)), [str(node) for node in report.targets])
        axes.set_yticks(range(len(report.sources)), [str(node) for node in report.sources])
        axes.set_xlabel("memory of node")
        axes.set_ylabel("CPUs of node")
        axes.tick_params(length=0)
        axes.set_title(f"{_TITLES.get(matrix.name, matrix.name)}, {shown_unit(matrix.unit)}")
        nodes = max(len(report.sources), len(report.targets))
        for y, source in enumerate(report.sources):
            for x, target in enumerate(report.targets):
                one = matrix.cell(source, target)
                if one is None:
                    axes.text(x, y, "-", ha="center", va="center", color=_GREY)
                    continue
                colour = [float(part) for part in image.to_rgba(np.array([values[y][x]]))[0]]
                axes.text(
                    x,
                    y,
                    _text(one.figure.median, one.figure, matrix.unit, one.verified),
                    ha="center",
                    va="center",
                    fontsize=10 if nodes <= 4 else 8 if nodes <= 8 else 6,
                    color="white" if _luminance(colour) < 0.5 else "black",
                )

    return panel


def _luminance(colour: Sequence[float]) -> float:
    red, green, blue = colour[:3]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


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
    # A single wild round is not to make all bars short: then its range ends at the edge.
    most = max(scale(figure.highest) for figure in figures)
    axes.set_xlim(0, 1.05 * min(most, _WIDEST * max(medians)))
    for place, figure in zip(places, figures, strict=True):
        axes.text(
            1.015,
            place,
            text(figure),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
        )


def _bars_of_node(axes: Axes, report: BenchReport, matrices: Sequence[Matrix]) -> None:
    rates = [matrix for matrix in matrices if matrix.unit != "ns"]
    waits = [matrix for matrix in matrices if matrix.unit == "ns"]
    title = "Memory of the only node"
    if waits:
        cell = waits[0].cells[0]
        title += f": latency {_text(cell.figure.median, cell.figure, 'ns', cell.verified)} ns"
    axes.set_title(title)
    if not rates:
        axes.set_axis_off()
        return
    _bars(
        axes,
        [matrix.name for matrix in rates],
        [matrix.cells[0].figure for matrix in rates],
        lambda value: scaled("bytes/s", value),
        lambda figure: _text(figure.median, figure, "bytes/s", True),
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


def _curves(axes: Axes, points: Sequence[LoadPoint]) -> None:
    pairs = list(dict.fromkeys((point.source, point.target) for point in points))
    for source, target in pairs[:_MOST_CURVES]:
        curve = sorted(
            (p for p in points if (p.source, p.target) == (source, target)),
            key=lambda point: point.pause,
        )
        axes.plot(
            [point.load_bytes_s.median / 1e9 for point in curve],
            [point.latency_ns.median for point in curve],
            marker="o",
            markersize=4,
            linewidth=1.4,
            label=f"node {source} to {target}",
        )
    axes.set_title("Latency under load")
    axes.set_xlabel("load, GB/s")
    axes.set_ylabel("latency, ns")
    axes.set_xlim(0, 1.06 * max(point.load_bytes_s.median for point in points) / 1e9)
    axes.set_ylim(0, 1.08 * max(point.latency_ns.median for point in points))
    axes.grid(color="#dddddd", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if len(pairs) > 1:
        axes.legend(fontsize=8, frameon=False, ncols=1 if len(pairs) <= 4 else 2)


def _page_latency(axes: Axes, report: BenchReport) -> None:
    found = [(page, page.latency_ns) for page in report.pages if page.latency_ns]
    _bars(
        axes,
        [f"{page.kind}\n{size_text(page.page_bytes)}" for page, _ in found],
        [figure for _, figure in found],
        lambda value: value,
        lambda figure: f"{_text(figure.median, figure, 'ns', True)} ns",
        [_BLUE] * len(found),
    )
    axes.set_title("Latency by size of pages")
    axes.set_xlabel("ns")


def _page_use(axes: Axes, report: BenchReport) -> None:
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
        lambda figure: _text(figure.median, figure, "bytes/s", True),
        colours,
    )
    axes.set_title("First use of memory")
    axes.set_xlabel("GB/s")


def _allocation_panel(report: BenchReport, size: int) -> Panel:
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
        axes.set_title(f"{size_text(size)}: got, written to, given back")
        axes.set_xlabel("ms" if scale == 1e6 else "us")

    return panel


def _device_bars(axes: Axes, report: BenchReport) -> None:
    _bars(
        axes,
        [
            f"{Path(one.path).name}\nto node {one.target}"
            + ("" if one.place in ("only", "unknown") else f" ({one.place})")
            for one in report.devices
        ],
        [one.bytes_s for one in report.devices],
        lambda value: scaled("bytes/s", value),
        lambda figure: _text(figure.median, figure, "bytes/s", True),
        [_BLUE] * len(report.devices),
    )
    axes.set_title("Reading from devices")
    axes.set_xlabel("GB/s")

"""The picture of ``numapool bench --plot``: heat maps of the nodes, a panel for each question."""

from __future__ import annotations

import importlib.util
import math
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from numapool.base.errors import UnsupportedError
from numapool.base.units import size_text
from numapool.bench.report import BenchReport, LoadPoint, Matrix, ReachPoint
from numapool.cli.bench_bars import (
    allocation_panel,
    bars_of_node,
    device_bars,
    page_latency,
    page_use,
    waits_of_node,
)
from numapool.cli.bench_text import (
    SIDES,
    TITLES,
    UNSTEADY,
    UNVERIFIED,
    figure_text,
    scaled,
    shown_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

# The higher, the darker: red for time, which is bad, and green for bandwidth, which is good.
_MAPS = {"ns": "YlOrRd", "bytes/s": "YlGn"}
_GREY = "#8a8a8a"
_PANEL_INCHES = (4.6, 3.5)
_INCHES_A_NODE = 0.55
_DARK = 0.5
_MOST_CURVES = 8  # more lines than that cannot be told apart

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
        raise ValueError("no picture: there was no time to measure anything that could be drawn")
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
            found.append(lambda axes: bars_of_node(axes, report, matrices))
        waits = [matrix for matrix in matrices if matrix.unit == "ns"]
        if any(matrix.name != "latency" for matrix in waits):
            found.append(lambda axes: waits_of_node(axes, waits))
    else:
        found += [_heat_panel(report, matrix) for matrix in matrices]
    if report.loaded:
        found.append(lambda axes: _curves(axes, report.loaded))
    if any(one.latency_ns for one in report.pages):
        found.append(lambda axes: page_latency(axes, report))
    if any(one.touch_bytes_s or one.populate_bytes_s for one in report.pages):
        found.append(lambda axes: page_use(axes, report))
    if report.reach:
        found.append(lambda axes: _reach(axes, report.reach))
    for size in dict.fromkeys(one.size_bytes for one in report.allocations):
        found.append(allocation_panel(report, size))
    if report.devices:
        found.append(lambda axes: device_bars(axes, report))
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
        notes.append(f"{UNVERIFIED} place not verified")
    notes += [f"{warning.kind}: {warning.text}" for warning in report.warnings]
    return [line for note in notes for line in textwrap.wrap(note, width)]


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
        # Small differences must look small: the scale spans at least a fifth. Its dark end is left
        # out, because figures are hard to read there.
        span = max(most - least, 0.2 * most)
        low, high = (least, least + span) if matrix.unit == "ns" else (most - span, most)
        image = axes.imshow(
            values,
            cmap=_without_dark_end(_MAPS[matrix.unit]),
            vmin=low,
            vmax=high,
            aspect="auto",
        )
        bar = axes.figure.colorbar(image, ax=axes, pad=0.02, fraction=0.06)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=2, labelsize=7.5)
        axes.set_facecolor("#dddddd")
        axes.set_xticks(range(len(report.targets)), [str(node) for node in report.targets])
        axes.set_yticks(range(len(report.sources)), [str(node) for node in report.sources])
        row, column = SIDES.get(matrix.name, ("CPUs of node", "memory of node"))
        axes.set_xlabel(column)
        axes.set_ylabel(row)
        axes.tick_params(length=0)
        axes.set_title(f"{TITLES.get(matrix.name, matrix.name)}, {shown_unit(matrix.unit)}")
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
                    figure_text(one.figure, matrix.unit, verified=one.verified),
                    ha="center",
                    va="center",
                    fontsize=10 if nodes <= 4 else 8 if nodes <= 8 else 6,
                    color="white" if _luminance(colour) < 0.5 else "black",
                )

    return panel


def _without_dark_end(name: str) -> Colormap:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps[name].resampled(256)(range(int(256 / (1 + _DARK)))))


def _luminance(colour: Sequence[float]) -> float:
    red, green, blue = colour[:3]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


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


def _reach(axes: Axes, points: Sequence[ReachPoint]) -> None:
    for kind, size in dict.fromkeys((point.kind, point.page_bytes) for point in points):
        curve = [one for one in points if (one.kind, one.page_bytes) == (kind, size)]
        axes.plot(
            [point.lines for point in curve],
            [point.latency_ns.median for point in curve],
            marker="o",
            markersize=4,
            linewidth=1.4,
            label=f"{size_text(size)} pages",
        )
    counts = sorted({point.lines for point in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [size_text(count * points[0].step_bytes) for count in counts])
    axes.tick_params(axis="x", labelsize=7.5, rotation=30)
    axes.minorticks_off()
    axes.set_title("Latency by pages touched")
    axes.set_xlabel(f"memory, one line in each {size_text(points[0].step_bytes)}")
    axes.set_ylabel("latency, ns")
    axes.set_ylim(0, 1.08 * max(point.latency_ns.median for point in points))
    axes.grid(color="#dddddd", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=8, frameon=False)

"""The dashboard's panels as pictures, from what Prometheus answers; Grafana is not needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: For a unit of Grafana's: what it is called, and by what values are divided.
_UNITS = {
    "bytes": ("MiB", 1 << 20),
    "Bps": ("MiB/s", 1 << 20),
    "percentunit": ("%", 0.01),
    "s": ("ms", 1e-3),
    "cps": ("per second", 1),
}
_COLUMNS = 3
_LINES = ("-", "--", ":", "-.")

#: All series that answer an expression, as Prometheus' query_range has them.
Answers = Callable[[str], list[dict[str, Any]]]


def _called(form: str, labels: dict[str, str]) -> str:
    """Fill in a legend of Grafana's, without the instance, which is one here."""
    text = re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), form)
    return text.replace("guest", "").strip() or "guest"


def _draw(axes: Axes, panel: dict[str, Any], answers: Answers, times: tuple[float, float]) -> None:
    unit, divisor = _UNITS.get(panel["fieldConfig"]["defaults"]["unit"], ("", 1))
    axes.set_title(panel["title"] + (f" ({unit})" if unit else ""), loc="left", fontweight="bold")
    lines = [
        (_called(target["legendFormat"], one["metric"]), one["values"])
        for target in panel["targets"]
        for one in answers(target["expr"])
    ]
    drawn = 0
    for name, values in lines:
        points = [(at - times[0], float(value) / divisor) for at, value in values if value != "NaN"]
        if not points or (len(lines) > 6 and not any(y for _, y in points)):
            continue  # of very many lines those that are nought throughout
        style = _LINES[drawn // 10 % len(_LINES)]
        axes.plot(*zip(*points, strict=True), style, label=name, linewidth=1.3)
        drawn += 1
    if drawn:
        axes.legend(fontsize=6, loc="upper left", ncols=2 if drawn > 6 else 1, framealpha=0.7)
        axes.set_ylim(0, axes.get_ylim()[1] * 1.3 or 1)
    else:
        axes.text(0.5, 0.5, "no such events", ha="center", va="center", transform=axes.transAxes)
    axes.set_xlim(0, times[1] - times[0])
    axes.grid(alpha=0.25)


def draw(
    path: Path,
    dashboard: dict[str, Any],
    answers: Answers,
    times: tuple[float, float],
) -> None:
    """Draw every panel of a dashboard between two times into one picture."""
    panels = [panel for panel in dashboard["panels"] if panel["type"] == "timeseries"]
    rows = -(-len(panels) // _COLUMNS)
    with mpl.rc_context({"font.size": 8, "axes.titlesize": 8}):
        figure = Figure(figsize=(13, 2.4 * rows), layout="constrained")
        grid = figure.subplots(rows, _COLUMNS, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw(axes, panel, answers, times)
        for axes in grid[-1]:
            axes.set_xlabel("seconds")
        figure.savefig(path, dpi=100)

"""Puts a picture on paper with matplotlib: SVG or PNG."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from numapool.base import arguments
from numapool.base.errors import UnsupportedError
from numapool.machine.topology import NumaTopology
from numapool.picture.page import compose
from numapool.picture.shapes import PAPER, Area, Box, Curve, Label, Picture, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What is written, by how the file's name ends.
FORMATS = (".svg", ".png")
_DOTS_PER_INCH = 150
_FONT = "DejaVu Sans"  # comes with matplotlib
# A path of more than 1024 corners is not snapped to dots, and Agg is slow to sort its edges.
_BOXES_IN_A_PATH = 200
_WIDEST_INCHES = 200  # 30,000 dots: less than half of what matplotlib can draw


@lru_cache(maxsize=65536)
def _measure(text: str, size_pt: float, bold: bool) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=_FONT, size=size_pt, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72


def _draw_boxes(axes: Axes, boxes: Iterable[Box]) -> None:
    """Draw boxes in their order; those with plain corners, of which tables have many, together."""
    for plain, some in groupby(boxes, key=lambda box: not box.radius and not box.dashed):
        if plain:
            _draw_plain(axes, some)
        else:
            for box in some:
                _draw_rounded(axes, box)


def _draw_plain(axes: Axes, boxes: Iterable[Box]) -> None:
    """Draw boxes that overlap only where the lower one's look came first: a path for each look.

    A patch for each cell took a minute for the distances of 256 nodes; add_patch, which looks at
    every corner for the limits of the axes, takes half a minute more than add_artist.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    looks: dict[tuple[str, str, float], list[Area]] = {}
    for box in boxes:
        looks.setdefault((box.fill, box.edge or "none", box.line_pt), []).append(box.area)
    codes = [Outline.MOVETO, *[Outline.LINETO] * 3, Outline.CLOSEPOLY]
    for (fill, edge, line_pt), areas in looks.items():
        for first in range(0, len(areas), _BOXES_IN_A_PATH):
            corners: list[Point] = []
            for one in areas[first : first + _BOXES_IN_A_PATH]:
                corners += [(one.x, one.y), (one.right, one.y), (one.right, one.bottom)]
                corners += [(one.x, one.bottom), (one.x, one.y)]
            axes.add_artist(
                PathPatch(
                    Outline(corners, codes * (len(corners) // len(codes))),
                    facecolor=fill,
                    edgecolor=edge,
                    linewidth=line_pt,
                    joinstyle="miter",
                    zorder=2,
                )
            )


def _draw_rounded(axes: Axes, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    area, edge = box.area, box.edge or "none"
    axes.add_artist(
        FancyBboxPatch(
            (area.x, area.y),
            area.width,
            area.height,
            boxstyle=f"round,pad=0,rounding_size={box.radius}",
            facecolor=box.fill,
            edgecolor=edge,
            linewidth=box.line_pt,
            linestyle="--" if box.dashed else "-",
            zorder=2,
        )
    )


def _draw_curve(axes: Axes, curve: Curve) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    codes = [Outline.MOVETO, Outline.CURVE4, Outline.CURVE4, Outline.CURVE4]
    axes.add_artist(
        PathPatch(
            Outline(list(curve.points), codes),
            facecolor="none",
            edgecolor=curve.color,
            linewidth=curve.line_pt,
            capstyle="round",
            zorder=1,
        )
    )


def _draw_label(axes: Axes, label: Label) -> None:
    area = label.area
    if label.ground is not None:
        grown = Box(area=area, fill=label.ground, edge=None)
        _draw_plain(axes, [grown])
    axes.text(
        area.x,
        area.y + area.height / 2,
        label.text,
        size=label.size_pt,
        weight="bold" if label.bold else "normal",
        color=label.color,
        family=_FONT,
        va="center_baseline",
        ha="left",
        zorder=3,
        parse_math=False,
    )


def check_format(path: arguments.PathLike) -> str:
    """Return "svg" or "png", by how the file's name ends.

    Raises
    ------
    ValueError
        It ends otherwise.
    """
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"{os.fspath(path)!r} must end in {' or '.join(FORMATS)}")
    return ending[1:]


def draw_topology(topology: NumaTopology, path: arguments.PathLike) -> Picture:
    """Draw a machine into a file, and return the drawing.

    Parameters
    ----------
    topology : NumaTopology
    path : str or path-like
        A file that ends in ``.svg`` or ``.png``; one that is there is replaced.

    Raises
    ------
    ValueError
        The file's name ends otherwise.
    UnsupportedError
        matplotlib cannot be loaded.
    OSError
        The file cannot be written.
    """
    kind = check_format(path)
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnsupportedError(
            f"a drawing needs matplotlib, which cannot be loaded ({error}): "
            "pip install 'numapool[plot]'"
        ) from error
    picture = compose(topology, _measure)
    figure = Figure(figsize=(picture.width, picture.height), facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    axes.axis("off")
    for curve in picture.curves:
        _draw_curve(axes, curve)
    _draw_boxes(axes, picture.boxes)
    for label in picture.labels:
        _draw_label(axes, label)
    # The same machine gives the same file.
    metadata = {"Date": None} if kind == "svg" else None
    # Hinted letters would be wider than they were measured.
    with mpl.rc_context(
        {"svg.hashsalt": "numapool", "svg.fonttype": "path", "text.hinting": "none"}
    ):
        figure.savefig(path, format=kind, dpi=_DOTS_PER_INCH, metadata=metadata)
    return picture

"""The table of all distances, in the colours of the edges, and what the colours stand for."""

from __future__ import annotations

from numapool.machine.topology import NumaTopology
from numapool.picture.distance import DistanceClass, class_of
from numapool.picture.shapes import (
    FAINT,
    INK,
    PAPER,
    Area,
    Box,
    Curve,
    Picture,
    line_height,
    straight,
)

TEXT_PT = 8.0
HEADING_PT = 10.0
OWN = "#e3e8ed"
MOST_WITH_VALUES = 32


def _cell_size(count: int) -> float:
    return 0.34 if count <= 8 else 0.29 if count <= MOST_WITH_VALUES else 0.13


def matrix_width(count: int) -> float:
    """Return how wide the table of so many nodes is, its row of ids included."""
    return 0.45 + count * _cell_size(count)


def centered(picture: Picture, area: Area, text: str, color: str, bold: bool = False) -> None:
    """Write a text in the middle of an area."""
    picture.write(
        area.x + area.width / 2,
        area.y + (area.height - line_height(TEXT_PT)) / 2,
        text,
        TEXT_PT,
        bold=bold,
        color=color,
        align="center",
    )


def draw_matrix(
    picture: Picture,
    x: float,
    y: float,
    topology: NumaTopology,
    classes: tuple[DistanceClass, ...],
    with_edges: bool,
) -> float:
    """Draw the table with its upper left corner at a place, and return where it ends."""
    nodes, cell = topology.nodes, _cell_size(topology.node_count)
    with_values = len(nodes) <= MOST_WITH_VALUES
    step = 1 if with_values else -(-len(nodes) // 16)  # ids beside small cells are few
    picture.write(x, y, "Distances, from row to column", HEADING_PT, bold=True)
    top = y + line_height(HEADING_PT) + 0.3
    left = x + 0.4
    for index, node in enumerate(nodes):
        if index % step:
            continue
        heading = Area(x=left + index * cell, y=top - 0.2, width=cell, height=0.2)
        centered(picture, heading, str(node.node_id), INK, bold=True)
        middle = top + index * cell + (cell - line_height(TEXT_PT)) / 2
        picture.write(left - 0.08, middle, str(node.node_id), TEXT_PT, bold=True, align="right")
    others = {d for i, row in enumerate(topology.distance_matrix) for d in row[:i] + row[i + 1 :]}
    looks = {distance: class_of(distance, classes) for distance in others}
    for i, row in enumerate(topology.distance_matrix):
        for j, distance in enumerate(row):
            area = Area(x=left + j * cell, y=top + i * cell, width=cell, height=cell)
            look = None if i == j else looks[distance]
            fill = OWN if look is None else look.color
            picture.boxes.append(Box(area=area, fill=fill, edge=PAPER, line_pt=0.6))
            if with_values:
                centered(picture, area, str(distance), INK if look is None else look.ink)
    at = top + len(nodes) * cell + 0.15
    return draw_legend(picture, left, at, topology, classes, with_edges)


def draw_legend(
    picture: Picture,
    left: float,
    at: float,
    topology: NumaTopology,
    classes: tuple[DistanceClass, ...],
    with_edges: bool,
) -> float:
    """Draw what the colours stand for with the upper left corner at a place; return its end."""
    for one in classes:
        middle = at + line_height(TEXT_PT) / 2
        if with_edges:
            line: Curve = straight((left, middle), (left + 0.45, middle), one.color, one.line_pt)
            picture.curves.append(line)
        else:
            area = Area(x=left + 0.15, y=at, width=0.3, height=line_height(TEXT_PT))
            picture.boxes.append(Box(area=area, fill=one.color, edge=None))
        picture.write(left + 0.55, at, one.text, TEXT_PT)
        at += line_height(TEXT_PT) + 0.04
    if topology.distances_assumed:
        picture.write(left, at, "assumed: the system gives none", TEXT_PT, color=FAINT)
        at += line_height(TEXT_PT)
    return at

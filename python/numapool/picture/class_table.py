"""The table of distances between classes of nodes, where nodes that are alike share a row."""

from __future__ import annotations

from numapool.machine.topology import NumaTopology
from numapool.picture.distance import DistanceClass, class_of
from numapool.picture.many import classes_of, listed
from numapool.picture.matrix import HEADING_PT, OWN, TEXT_PT, centered, draw_legend
from numapool.picture.shapes import INK, PAPER, Area, Box, Picture, line_height

_CELL = 0.34
_GAP = 0.08
_WIDEST_NAME = 2.2
#: Classes that fit a picture; of more, the table of all nodes tells as much.
_MOST = 24
_TITLE = "Distances, from row to column; nodes that are alike share a row"


class ClassTable:
    """What the table shows.

    Parameters
    ----------
    picture : Picture
    topology : NumaTopology
        The machine.
    classes : list of list of int
        Places of the nodes that share a row.
    """

    def __init__(self, picture: Picture, topology: NumaTopology, classes: list[list[int]]) -> None:
        self._picture = picture
        self._topology = topology
        self._classes = classes
        names = [listed(topology.nodes[i].node_id for i in some) for some in classes]
        # A part without a comma before it starts a line.
        self._names = [
            picture.wrap(name.split(","), _WIDEST_NAME, TEXT_PT, ",", bold=True) for name in names
        ]
        self._ways = [f"#{number}" for number in range(1, len(classes) + 1)]
        self._beside = max(picture.measure(way, TEXT_PT, True) for way in self._ways) + _GAP
        self._names_width = self._beside + max(
            picture.measure(line, TEXT_PT, True) for name in self._names for line in name
        )

    @property
    def width(self) -> float:
        """How wide it is."""
        cells = self._names_width + _GAP + len(self._classes) * _CELL
        title = max(self._picture.measure(line, HEADING_PT, True) for line in self._title(cells))
        return max(cells, title)

    def _title(self, width: float) -> list[str]:
        return self._picture.wrap(_TITLE.split(), max(width, 2.6), HEADING_PT, " ", bold=True)

    def draw(self, x: float, y: float, looks: tuple[DistanceClass, ...]) -> float:
        """Draw it with its upper left corner at a place, and return where it ends."""
        picture, matrix = self._picture, self._topology.distance_matrix
        for line in self._title(self.width):
            picture.write(x, y, line, HEADING_PT, bold=True)
            y += line_height(HEADING_PT)
        left, at = x + self._names_width + _GAP, y + 0.3
        for column, way in enumerate(self._ways):
            heading = Area(x=left + column * _CELL, y=at - 0.2, width=_CELL, height=0.2)
            centered(picture, heading, way, INK, bold=True)
        for row, (way, name, some) in enumerate(
            zip(self._ways, self._names, self._classes, strict=True)
        ):
            height = max(_CELL, len(name) * line_height(TEXT_PT) + 0.06)
            top = at + (height - len(name) * line_height(TEXT_PT)) / 2
            picture.write(x, top, way, TEXT_PT, bold=True)
            for line in name:
                picture.write(x + self._beside, top, line, TEXT_PT)
                top += line_height(TEXT_PT)
            for column, others in enumerate(self._classes):
                # Of one class the distance of two different nodes.
                distance = matrix[some[0]][others[0 if row != column else -1]]
                area = Area(x=left + column * _CELL, y=at, width=_CELL, height=height)
                look = None if some == others and len(some) == 1 else class_of(distance, looks)
                fill = OWN if look is None else look.color
                picture.boxes.append(Box(area=area, fill=fill, edge=PAPER, line_pt=0.6))
                centered(picture, area, str(distance), INK if look is None else look.ink)
            at += height
        return draw_legend(picture, left, at + 0.15, self._topology, looks, with_edges=False)


def class_table_of(picture: Picture, topology: NumaTopology) -> ClassTable | None:
    """Return the table, or None where too few nodes are alike."""
    classes = classes_of(topology)
    if classes is None or len(classes) > _MOST:
        return None
    return ClassTable(picture, topology, classes)

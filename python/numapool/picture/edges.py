"""The distances as edges: through the gaps of a row, in arcs below it, across to the other row."""

from __future__ import annotations

import math

from numapool.machine.topology import NumaTopology
from numapool.picture.distance import DistanceClass, class_of
from numapool.picture.shapes import INK, PAPER, Area, Curve, Picture, Point, line_height, straight

LABEL_PT = 9.0
_PAD = 0.04
_SIDE = 0.38  # from the edge of a card that faces the other row to the lines through the gap
_TRIES = (0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73, 0.2, 0.8, 0.15, 0.85)


class EdgeDrawer:
    """Draws the edges between cards that are placed already."""

    def __init__(
        self,
        picture: Picture,
        topology: NumaTopology,
        classes: tuple[DistanceClass, ...],
        rows: list[list[int]],
        cards: dict[int, Area],
    ) -> None:
        self._picture = picture
        self._topology = topology
        self._classes = classes
        self._rows = rows
        self._cards = cards
        self._place = {node: (r, c) for r, row in enumerate(rows) for c, node in enumerate(row)}

    def _ports(self, pairs: list[tuple[int, int]]) -> dict[tuple[int, int], Point]:
        """Return where the edge from a node to another leaves its card, toward the other row.

        The edges of a card leave it side by side, in the order of the cards that they lead to.
        """
        ports: dict[tuple[int, int], Point] = {}
        for node, card in self._cards.items():
            row, _ = self._place[node]
            others = [b if a == node else a for a, b in pairs if node in (a, b)]
            others = [one for one in others if not self._adjacent(node, one)]
            middle = {one: self._cards[one].x + self._cards[one].width / 2 for one in others}
            # Arcs of the own row go outside, by the side they lead to, the longest in the middle.
            mine = card.x + card.width / 2

            def order(
                one: int, mine: float = mine, row: int = row, middle: dict[int, float] = middle
            ) -> tuple[float, float]:
                way = middle[one] - mine
                if self._place[one][0] != row:
                    return 0.0, way
                return math.copysign(1.0, way), -way

            others.sort(key=order)
            down = row == 0
            for index, one in enumerate(others):
                share = (index + 1) / (len(others) + 1)
                x = card.x + card.width * (0.12 + 0.76 * share)
                ports[node, one] = (x, card.bottom if down else card.y)
        return ports

    def _adjacent(self, a: int, b: int) -> bool:
        (row_a, col_a), (row_b, col_b) = self._place[a], self._place[b]
        return row_a == row_b and abs(col_a - col_b) == 1

    def _look(self, a: int, b: int) -> DistanceClass:
        matrix = self._topology.distance_matrix
        return class_of(max(matrix[a][b], matrix[b][a]), self._classes)

    def _through_gap(self, a: int, b: int) -> Curve:
        left, right = sorted((self._cards[a], self._cards[b]), key=lambda area: area.x)
        row = self._place[a][0]
        if len(self._rows) == 1:
            y = left.y + min(left.height, right.height) / 2
        else:
            y = left.bottom - _SIDE if row == 0 else left.y + _SIDE
        look = self._look(a, b)
        return straight((left.right, y), (right.x, y), look.color, look.line_pt)

    def _curve(self, a: int, b: int, start: Point, end: Point) -> Curve:
        look = self._look(a, b)
        (row_a, col_a), (row_b, col_b) = self._place[a], self._place[b]
        if row_a != row_b:
            return straight(start, end, look.color, look.line_pt)
        depth = 0.3 + 0.27 * abs(col_a - col_b)
        way = depth if row_a == 0 else -depth
        bends = ((start[0], start[1] + way), (end[0], end[1] + way))
        return Curve(points=(start, *bends, end), color=look.color, line_pt=look.line_pt)

    def draw(self, pairs: list[tuple[int, int]], with_labels: bool) -> None:
        """Draw an edge for each pair of nodes; the far ones first, so that near ones lie above."""
        ports = self._ports(pairs)
        curves: dict[tuple[int, int], Curve] = {}
        for a, b in pairs:
            if self._adjacent(a, b):
                curves[a, b] = self._through_gap(a, b)
            else:
                curves[a, b] = self._curve(a, b, ports[a, b], ports[b, a])
        far_first = sorted(curves, key=lambda pair: -self._look(*pair).least)
        self._picture.curves += [curves[pair] for pair in far_first]
        if with_labels:
            for pair in sorted(curves, key=lambda pair: not self._adjacent(*pair)):
                self._label(pair, curves[pair], [c for p, c in curves.items() if p != pair])

    def _label(self, pair: tuple[int, int], curve: Curve, others: list[Curve]) -> None:
        """Write the distance on its edge where that is clear of cards, labels and other edges."""
        a, b = pair
        there, back = (
            self._topology.distance(*self._ids(a, b)),
            self._topology.distance(*self._ids(b, a)),
        )
        text = str(there) if there == back else f"{there} / {back}"
        width = self._picture.measure(text, LABEL_PT, True) + 2 * _PAD
        height = line_height(LABEL_PT)

        def area_at(share: float) -> Area:
            x, y = curve.at(share)
            return Area(x=x - width / 2, y=y - height / 2, width=width, height=height)

        def clear(share: float) -> float:
            area = area_at(share)
            taken = [label.area for label in self._picture.labels] + list(self._cards.values())
            if any(area.overlaps(one) for one in taken):
                return -1.0
            x, y = curve.at(share)
            # Whether another edge runs under the label matters more than how near to the middle.
            gap = min((one.gap_to((x, y)) for one in others), default=1.0)
            return min(gap, width * 0.75) - 0.1 * abs(share - 0.5)

        best = max(_TRIES, key=clear)
        area = area_at(best)
        self._picture.write(
            area.x + _PAD,
            area.y,
            text,
            LABEL_PT,
            bold=True,
            color=INK,
            ground=PAPER,
        )

    def _ids(self, a: int, b: int) -> tuple[int, int]:
        nodes = self._topology.nodes
        return nodes[a].node_id, nodes[b].node_id

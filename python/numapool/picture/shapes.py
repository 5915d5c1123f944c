"""What a picture is made of, in inches from its upper left corner; and how wide words are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

#: Tells the width in inches of a text, by its size in points and whether it is bold.
Measure = Callable[[str, float, bool], float]

INK = "#1f2933"
FAINT = "#5f6b77"  # 5.5:1 on white
LINE = "#b8c2cc"
PAPER = "#ffffff"

_LINE_HEIGHT = 1.35 / 72  # inches for a point


def line_height(size_pt: float) -> float:
    """Return the height of a line of text in inches."""
    return size_pt * _LINE_HEIGHT


@dataclass(frozen=True, kw_only=True, slots=True)
class Area:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Where it ends."""
        return self.y + self.height

    def overlaps(self, other: Area) -> bool:
        """Tell whether the two share more than an edge."""
        slack = 1e-6
        return (
            self.x < other.right - slack
            and other.x < self.right - slack
            and self.y < other.bottom - slack
            and other.y < self.bottom - slack
        )

    def holds(self, other: Area) -> bool:
        """Tell whether `other` lies in it."""
        slack = 1e-6
        return (
            self.x <= other.x + slack
            and self.y <= other.y + slack
            and other.right <= self.right + slack
            and other.bottom <= self.bottom + slack
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A line of text; its area is what it covers."""

    area: Area
    text: str
    size_pt: float
    bold: bool = False
    color: str = INK
    ground: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle that is drawn."""

    area: Area
    fill: str = PAPER
    edge: str | None = LINE
    radius: float = 0.0
    dashed: bool = False
    line_pt: float = 1.0


Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A cubic Bézier curve: its ends, with the control points between them."""

    points: tuple[Point, Point, Point, Point]
    color: str
    line_pt: float

    def at(self, share: float) -> Point:
        """Return the point at a share, from 0 to 1, of the curve."""
        one, rest = share, 1 - share
        weights = (rest**3, 3 * one * rest**2, 3 * one**2 * rest, one**3)
        x = sum(w * p[0] for w, p in zip(weights, self.points, strict=True))
        y = sum(w * p[1] for w, p in zip(weights, self.points, strict=True))
        return x, y

    def samples(self, count: int = 40) -> Iterator[Point]:
        """Yield points along it."""
        return (self.at(index / count) for index in range(count + 1))

    def gap_to(self, point: Point) -> float:
        """Return how far it passes from a point."""
        return min(math.dist(point, one) for one in self.samples())


def straight(start: Point, end: Point, color: str, line_pt: float) -> Curve:
    """Make a curve that is a straight line."""
    (a, b), (c, d) = start, end
    third = ((2 * a + c) / 3, (2 * b + d) / 3)
    two_thirds = ((a + 2 * c) / 3, (b + 2 * d) / 3)
    return Curve(points=(start, third, two_thirds, end), color=color, line_pt=line_pt)


@dataclass(slots=True)
class Picture:
    """Shapes, drawn in their order: curves first, then boxes, then labels."""

    measure: Measure
    curves: list[Curve] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0

    def write(
        self,
        x: float,
        y: float,
        text: str,
        size_pt: float,
        *,
        bold: bool = False,
        color: str = INK,
        align: Literal["left", "center", "right"] = "left",
        ground: str | None = None,
    ) -> Label:
        """Put a line of text with its left end, middle or right end at `x` and its top at `y`."""
        width = self.measure(text, size_pt, bold)
        left = x - {"left": 0.0, "center": width / 2, "right": width}[align]
        area = Area(x=left, y=y, width=width, height=line_height(size_pt))
        label = Label(area=area, text=text, size_pt=size_pt, bold=bold, color=color, ground=ground)
        self.labels.append(label)
        return label

    def wrap(
        self, parts: Iterable[str], width: float, size_pt: float, joint: str, bold: bool = False
    ) -> list[str]:
        """Join parts to lines that are no wider than `width`, where a part alone is not."""
        lines: list[str] = []
        for part in parts:
            longer = f"{lines[-1]}{joint}{part}" if lines else part
            if lines and self.measure(longer + joint.rstrip(), size_pt, bold) <= width:
                lines[-1] = longer
            else:
                if lines:
                    lines[-1] += joint.rstrip()
                lines.append(part)
        return lines

    def shorten(self, text: str, width: float, size_pt: float) -> str:
        """Cut the middle out of a text that is wider than `width`."""
        if self.measure(text, size_pt, False) <= width:
            return text
        for keep in range(len(text) - 1, 1, -1):
            short = f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"
            if self.measure(short, size_pt, False) <= width:
                return short
        return "…"

"""Distances in a few classes, each with a colour and a width, from near to far."""

from __future__ import annotations

from dataclasses import dataclass

from numapool.machine.topology import NumaTopology

#: Okabe and Ito's colours from near to far; the widths say the same to who sees no colours.
_COLORS = ("#0072b2", "#56b4e9", "#e69f00", "#d55e00")
_WIDTHS_PT = (3.2, 2.4, 1.7, 1.1)
_INKS = ("#ffffff", "#000000", "#000000", "#ffffff")


@dataclass(frozen=True, kw_only=True, slots=True)
class DistanceClass:
    """Distances that look alike."""

    least: int
    most: int
    color: str
    ink: str
    line_pt: float

    @property
    def text(self) -> str:
        """Return what it stands for."""
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


def classes_of(topology: NumaTopology) -> tuple[DistanceClass, ...]:
    """Return the classes of the distances between different nodes, nearest first."""
    matrix = topology.distance_matrix
    values = sorted({d for i, row in enumerate(matrix) for j, d in enumerate(row) if i != j})
    count = min(len(values), len(_COLORS))
    if not count:
        return ()
    groups = [
        values[len(values) * k // count : len(values) * (k + 1) // count] for k in range(count)
    ]
    # Few classes take colours that are far apart.
    picks = {1: (0,), 2: (0, 3), 3: (0, 2, 3), 4: (0, 1, 2, 3)}[count]
    return tuple(
        DistanceClass(
            least=group[0],
            most=group[-1],
            color=_COLORS[pick],
            ink=_INKS[pick],
            line_pt=_WIDTHS_PT[pick],
        )
        for group, pick in zip(groups, picks, strict=True)
    )


def class_of(distance: int, classes: tuple[DistanceClass, ...]) -> DistanceClass:
    """Return the class of a distance."""
    return next(one for one in classes if distance <= one.most)


def is_symmetric(topology: NumaTopology) -> bool:
    """Tell whether every way back is as long as the way there."""
    matrix = topology.distance_matrix
    return all(matrix[i][j] == matrix[j][i] for i in range(len(matrix)) for j in range(i))

"""The distances between nodes as a heat table that fits the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numapool.cli.listing import Pairs, StyledLine
from numapool.cli.plain import PlainScreen
from numapool.picture.many import MOST_SINGLE, STRIDES, classes_of, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from numapool.cli.plain import Screen
    from numapool.machine.topology import NumaTopology

#: From near to far, from good to bad: readable on dark and light grounds.
HEAT = ("black on green3", "black on khaki3", "black on sandy_brown", "black on indian_red")
_LOCAL = 10  # of the ACPI SLIT
_LONGEST_LABEL = 11  # of a column: longer lists of nodes are told above the table

if TYPE_CHECKING:
    _Table: TypeAlias = tuple[Sequence[str], Sequence[Sequence[int]]]


def _heat(distance: int, farthest: int) -> str:
    if distance <= _LOCAL:
        return HEAT[0]
    span = max(farthest - _LOCAL, 1)
    return HEAT[min(1 + (distance - _LOCAL - 1) * 3 // span, 3)]


def _lines(
    labels: Sequence[str], matrix: Sequence[Sequence[int]], width: int, rule: str
) -> Iterator[StyledLine]:
    """Yield the table's lines; columns that do not fit `width` follow in further tables."""
    farthest = max(max(row) for row in matrix)
    label = max(map(len, labels))
    cell = max(label, len(str(farthest)))
    fit = max((width - label - len(rule)) // (cell + 2), 1)
    tables = -(-len(labels) // fit)
    each = -(-len(labels) // tables)  # tables of one width, where the last could be a sliver
    for first in range(0, len(labels), each):
        if first:
            yield StyledLine()
        head = StyledLine(" " * label + rule)
        for one in labels[first : first + each]:
            head.append(f" {one:>{cell}} ", style="bold")
        yield head
        for one, row in zip(labels, matrix, strict=True):
            line = StyledLine()
            line.append(f"{one:>{label}}", style="bold")
            line.append(rule)
            for distance in row[first : first + each]:
                line.append(f" {distance:>{cell}} ", style=_heat(distance, farthest))
            yield line


def ways(topology: NumaTopology, node_ids: Sequence[int], width: int) -> str:
    """Write the distances from nodes that are alike, near ones first: ``16 to 1; 32 to 2-3``."""
    found: dict[int, list[int]] = {}
    first, *others = node_ids
    inside = topology.distance(first, others[0]) if others else None
    for other in topology.nodes:
        if other.node_id not in node_ids:
            found.setdefault(topology.distance(first, other.node_id), []).append(other.node_id)
    lines: list[str] = []
    for distance in sorted({*found, *([] if inside is None else [inside])}):
        to = [] if distance != inside else ["each other"]
        if distance in found:
            to.append(listed(found[distance]))
        way = f"{distance} to {' and '.join(to)}"
        if len(way) > width:
            way = way.replace(",", ", ")  # where the line may end
        if lines and len(lines[-1]) + len(way) + 3 <= width:  # no line ends within a way
            lines[-1] += f"; {way}"
        else:
            lines.append(way)
    return ";\n".join(lines)


def _folded(console: Screen, topology: NumaTopology, classes: list[list[int]]) -> _Table:
    """Return a table with a row for each class of nodes, and print what the rows stand for."""
    matrix = topology.distance_matrix
    labels = [listed(topology.nodes[i].node_id for i in some) for some in classes]
    console.print(
        "Nodes that are as far from all others share a row; where a row meets its own column is "
        "the distance between two of them.",
        highlight=False,
    )
    if max(map(len, labels)) > _LONGEST_LABEL:
        for number, ids in enumerate(labels, 1):
            console.print(f"#{number}: nodes {ids.replace(',', ', ')}", highlight=False)
    if any(":" in label for label in labels):
        console.print(STRIDES, highlight=False)
    if max(map(len, labels)) > _LONGEST_LABEL:
        labels = [f"#{number}" for number in range(1, len(labels) + 1)]
    return labels, [[matrix[a[0]][b[0] if a is not b else b[-1]] for b in classes] for a in classes]


def show_distances(console: Screen, topology: NumaTopology) -> None:
    """Print the distance of each node, a row, to each node, a column.

    On a machine of many nodes, those that are as far from all others share a row; where few are, a
    line for each node tells how far away the others are.
    """
    assumed = "; assumed, the system gives none" if topology.distances_assumed else ""
    classes = classes_of(topology)
    if classes is None and topology.node_count > MOST_SINGLE:
        _show_ways(console, topology, assumed)
        return
    console.print(f"[bold]Distances[/bold], row to column ({_LOCAL} is local{assumed})")
    if classes is None:
        labels = [str(node.node_id) for node in topology.nodes]
        table: _Table = (labels, topology.distance_matrix)
    else:
        table = _folded(console, topology, classes)
    only_ascii = not isinstance(console, PlainScreen) and console.options.ascii_only
    rule = " |" if only_ascii else " │"
    for line in _lines(*table, console.width, rule):
        console.print(line, no_wrap=True, overflow="ignore", highlight=False)


def _show_ways(console: Screen, topology: NumaTopology, assumed: str) -> None:
    """Print a line for each node: a table would be many times as wide as the screen."""
    console.print(f"[bold]Distances[/bold] from each node ({_LOCAL} is local{assumed})")
    grid = Pairs(right=True)
    for node in topology.nodes:
        room = console.width - 2 - len(str(topology.nodes[-1].node_id))
        grid.add_row(str(node.node_id), ways(topology, [node.node_id], room))
    console.print(grid)

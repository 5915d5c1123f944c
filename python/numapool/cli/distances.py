"""The distances between nodes as a heat table that fits the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.text import Text

    from numapool.machine.topology import NumaTopology

#: From near to far, from good to bad: readable on dark and light grounds.
HEAT = ("black on green3", "black on khaki3", "black on sandy_brown", "black on indian_red")
_LOCAL = 10  # of the ACPI SLIT


def _heat(distance: int, farthest: int) -> str:
    if distance <= _LOCAL:
        return HEAT[0]
    span = max(farthest - _LOCAL, 1)
    return HEAT[min(1 + (distance - _LOCAL - 1) * 3 // span, 3)]


def _lines(topology: NumaTopology, width: int, rule: str) -> Iterator[Text]:
    """Yield the table's lines; columns that do not fit `width` follow in further tables."""
    from rich.text import Text

    nodes, matrix = topology.nodes, topology.distance_matrix
    farthest = max(max(row) for row in matrix)
    label = max(len(str(node.node_id)) for node in nodes)
    cell = max(label, len(str(farthest)))
    fit = max((width - label - len(rule)) // (cell + 2), 1)
    tables = -(-len(nodes) // fit)
    each = -(-len(nodes) // tables)  # tables of one width, where the last could be a sliver
    for first in range(0, len(nodes), each):
        if first:
            yield Text()
        head = Text(" " * label + rule)
        for node in nodes[first : first + each]:
            head.append(f" {node.node_id:>{cell}} ", style="bold")
        yield head
        for node, row in zip(nodes, matrix, strict=True):
            line = Text()
            line.append(f"{node.node_id:>{label}}", style="bold")
            line.append(rule)
            for distance in row[first : first + each]:
                line.append(f" {distance:>{cell}} ", style=_heat(distance, farthest))
            yield line


def show_distances(console: Console, topology: NumaTopology) -> None:
    """Print the distance of each node, a row, to each node, a column."""
    assumed = "; assumed, the system gives none" if topology.distances_assumed else ""
    console.print(f"[bold]Distances[/bold], row to column ({_LOCAL} is local{assumed})")
    rule = " |" if console.options.ascii_only else " │"
    for line in _lines(topology, console.width, rule):
        if console.color_system is None:
            line.rstrip()  # the blanks are there to be coloured
        console.print(line, no_wrap=True, overflow="ignore", highlight=False)

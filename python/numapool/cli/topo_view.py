"""The machine on a screen: a card for each node, side by side as far as they fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numapool.cli.distances import ways
from numapool.machine.topology import NumaTopology
from numapool.picture.alike import AlikeFacts, alike
from numapool.picture.machine import NodeFacts, facts_of, headline, homeless, usable_line
from numapool.picture.many import STRIDES, listed, without_empty

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.panel import Panel
    from rich.text import Text

_NARROWEST, _WIDEST = 36, 60
_GAP = 1
_BAR = 16
_FRAME = 6  # of a card's title: corners, lines and blanks


def _bar(facts: NodeFacts, ascii_only: bool) -> Text:
    """Draw the memory: blocks for used, dots for free memory."""
    from rich.text import Text

    held = round(_BAR * (facts.held_share or 0))
    full, empty = ("#", ".") if ascii_only else ("█", "·")
    return Text(full * held + empty * (_BAR - held), style="cyan")


def _ids(facts: NodeFacts) -> tuple[int, ...]:
    return facts.ids if isinstance(facts, AlikeFacts) else (facts.node.node_id,)


def _card(topology: NumaTopology, facts: NodeFacts, width: int, ascii_only: bool) -> Panel:
    """Draw a node; all that a line needs fits it, or goes on in the next."""
    from rich.box import ROUNDED
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    whole = facts.has_memory
    parts.append(Text(facts.memory, style="" if whole else "dim"))
    if facts.held_share is not None:
        parts.append(_bar(facts, ascii_only))
    ranges = ", ".join(facts.cpu_ranges)
    cpus = f"{facts.cpus}: {ranges}" if ranges else facts.cpus
    parts.append(Text(cpus, style="" if ranges else "dim"))
    if facts.speed:
        parts.append(Text(facts.speed))
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    name = facts.title
    if isinstance(facts, AlikeFacts) and len(name) > width - _FRAME:
        name = f"{len(facts.ids)} nodes"
        grid.add_row("nodes", Text(listed(facts.ids).replace(",", ", ")))
    for group, names in facts.devices.items():
        grid.add_row(group, Text(", ".join(names)))
    if topology.node_count > 1:
        room = width - 5 - max(len(name) for name in ("distance", *facts.devices))
        grid.add_row("distance", Text(ways(topology, _ids(facts), room)))
    if grid.row_count:
        parts.append(grid)
    title = Text(name, style="bold")
    if facts.remark:
        title.append(f", {facts.remark}", style="red")
    return Panel(Group(*parts), title=title, title_align="left", box=ROUNDED, width=width)


def show(console: Console, topology: NumaTopology) -> None:
    """Print the headline, the cards, and the devices of unknown node."""
    from rich.table import Table
    from rich.text import Text

    console.print(Text(headline(topology), style="bold"))
    console.print(Text(usable_line(topology)))
    with_devices = {one.node_id for one in topology.devices if one.node_id is not None}
    topology, left_out = without_empty(topology, with_devices)
    if left_out:
        console.print(Text(f"{left_out}."))
    facts = alike(topology, facts_of(topology))
    fit = min(max((console.width + _GAP) // (_NARROWEST + _GAP), 1), 4, len(facts))
    columns = next((c for c in range(fit, fit // 2, -1) if len(facts) % c == 0), fit)
    width = min((console.width - (columns - 1) * _GAP) // columns, _WIDEST)
    ascii_only = console.options.ascii_only
    for first in range(0, len(facts), columns):
        some = facts[first : first + columns]
        cards = [_card(topology, one, width, ascii_only) for one in some]
        height = max(len(console.render_lines(card)) for card in cards)
        row = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
        for card in cards:
            card.height = height
        row.add_row(*cards)
        console.print(row)
    unknown = homeless(topology)
    if unknown:
        console.print(Text("Devices with unknown node", style="bold"))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for group, names in unknown.items():
            grid.add_row(group, Text(", ".join(names)))
        console.print(grid)
    if topology.node_count > 1:
        assumed = "; assumed, the system gives none" if topology.distances_assumed else ""
        console.print(Text(f"Distances: 10 is local{assumed}.", style="dim"))
    if any(isinstance(one, AlikeFacts) for one in facts):
        words = "Nodes that are alike share a card; numapool info --json has each."
        console.print(Text(words, style="dim"))
    if any(":" in ways(topology, _ids(one), console.width) for one in facts):
        console.print(Text(STRIDES, style="dim"))
    if any(":" in part for one in facts for part in one.cpu_ranges):
        console.print(Text("CPUs 0-6:2 are 0, 2, 4 and 6.", style="dim"))

"""The whole page: the headline, cards and edges, the table of distances, and notes."""

from __future__ import annotations

from numapool.machine.topology import NumaTopology
from numapool.picture.alike import AlikeFacts, alike
from numapool.picture.arrange import MOST_WITH_EDGES, grid_of, pairs_of, rows_of
from numapool.picture.card import PAD, chips, draw_card
from numapool.picture.class_table import class_table_of
from numapool.picture.distance import classes_of, is_symmetric
from numapool.picture.edges import EdgeDrawer
from numapool.picture.machine import NodeFacts, facts_of, headline, homeless, usable_line
from numapool.picture.many import STRIDES, without_empty
from numapool.picture.matrix import MOST_WITH_VALUES, draw_matrix, matrix_width
from numapool.picture.shapes import FAINT, LINE, Area, Box, Measure, Picture, line_height

_MARGIN = 0.3
_HEADLINE_PT = 14.0
_NOTE_PT = 9.0
_MOST_LABELLED = 4  # nodes whose edges carry their distances; with more there is a table
_FEW_CARDS = 16
_MOST_JOINED = 8  # nodes of which all are joined


def _card_width(count: int) -> float:
    return 4.9 if count == 1 else 2.8 if count <= 4 else 2.55 if count <= 8 else 2.2


def _gap(count: int) -> float:
    return 1.1 if count <= _MOST_LABELLED else 0.45 if count <= MOST_WITH_EDGES else 0.15


def _band(count: int, rows: list[list[int]]) -> float:
    """Return the height between the rows: more where arcs of both meet."""
    if count > MOST_WITH_EDGES:
        return 0.15
    longest = max(map(len, rows))
    return 1.3 if longest <= 2 else 1.1 + 0.45 * min(longest, 4)


def _columns(cards: int) -> int:
    """Return how many cards stand beside one another where some are of several nodes."""
    return 4 if cards <= _FEW_CARDS else 8


def _height(measure: Measure, width: float, facts: NodeFacts) -> float:
    return draw_card(Picture(measure=measure), 0.0, 0.0, width, facts).height


def _place_cards(
    picture: Picture,
    y: float,
    count: int,
    facts: tuple[NodeFacts, ...],
    rows: list[list[int]],
) -> dict[int, Area]:
    """Draw the cards of a machine of `count` nodes.

    Of two rows, the upper one's end and the lower one's begin at one height.
    """
    width, gap, band = _card_width(count), _gap(count), _band(count, rows)
    heights = [_height(picture.measure, width, one) for one in facts]
    longest = max(map(len, rows))
    whole = longest * width + (longest - 1) * gap
    cards: dict[int, Area] = {}
    for number, row in enumerate(rows):
        tallest = max(heights[index] for index in row)
        left = _MARGIN + (whole - len(row) * width - (len(row) - 1) * gap) / 2
        down = number == 0 and len(rows) == 2
        for index in row:
            top = y + tallest - heights[index] if down else y
            cards[index] = draw_card(picture, left, top, width, facts[index])
            left += width + gap
        y += tallest + band
    return cards


def _notes(topology: NumaTopology, facts: tuple[NodeFacts, ...], labelled: bool) -> list[str]:
    notes = []
    if labelled:
        assumed = "; they are assumed, the system gives none" if topology.distances_assumed else ""
        notes.append(f"Edges carry the distance between nodes, where 10 is local{assumed}.")
        if not is_symmetric(topology):
            notes.append("21 / 22: from the node with the lower id to the other, and back.")
    elif topology.node_count > MOST_WITH_EDGES:
        notes.append("The table has the distances between nodes, where 10 is local.")
    elif topology.node_count > _MOST_JOINED:
        notes.append("Edges join each node with those nearest to it; the table has all distances.")
    elif topology.node_count > 1:
        notes.append("Edges have the colours of the table of distances, where 10 is local.")
    if any(isinstance(one, AlikeFacts) for one in facts):
        notes.append("Nodes that are alike share a card.")
    if any(":" in one.title for one in facts):
        notes.append(STRIDES)
    if any(":" in part for one in facts for part in one.cpu_ranges):
        notes.append("CPUs 0-6:2 are 0, 2, 4 and 6.")
    return notes


def _draw_homeless(picture: Picture, y: float, width: float, topology: NumaTopology) -> float:
    """Draw the devices of unknown node in a box of their own, and return where it ends."""
    devices = homeless(topology)
    if not devices:
        return y
    frame = len(picture.boxes)
    at = y + PAD * 0.7
    title = "devices with unknown node"
    for line in picture.wrap(title.split(), width - 2 * PAD, _NOTE_PT, " ", bold=True):
        picture.write(_MARGIN + PAD, at, line, _NOTE_PT, bold=True, color=FAINT)
        at += line_height(_NOTE_PT)
    for group, names in devices.items():
        at = chips(picture, _MARGIN + PAD, at + 0.05, width - 2 * PAD, group, names)
    area = Area(x=_MARGIN, y=y, width=width, height=at + PAD - y)
    picture.boxes.insert(frame, Box(area=area, edge=LINE, radius=0.09, dashed=True))
    return area.bottom


def compose(topology: NumaTopology, measure: Measure) -> Picture:
    """Lay the picture of a machine out.

    Parameters
    ----------
    topology : NumaTopology
    measure : callable
        Tells the width of a text in inches.
    """
    picture = Picture(measure=measure)
    whole_machine = topology
    with_devices = {one.node_id for one in topology.devices if one.node_id is not None}
    topology, left_out = without_empty(topology, with_devices)
    every, classes, count = facts_of(topology), classes_of(topology), topology.node_count
    facts = alike(topology, every)
    rows = rows_of(topology) if len(facts) == count else grid_of(len(facts), _columns(len(facts)))
    labelled = 1 < count <= _MOST_LABELLED
    longest = max(map(len, rows))
    whole = longest * _card_width(count) + (longest - 1) * _gap(count)
    with_table = count > _MOST_LABELLED
    # Where cells are too small for numbers, nodes that are alike share them.
    table = class_table_of(picture, topology) if count > MOST_WITH_VALUES else None
    table_width = matrix_width(count) if table is None else table.width
    wide = whole + (0.45 + table_width if with_table else 0)

    y = _MARGIN
    for line in picture.wrap(headline(whole_machine).split(), wide, _HEADLINE_PT, " ", bold=True):
        picture.write(_MARGIN, y, line, _HEADLINE_PT, bold=True)
        y += line_height(_HEADLINE_PT)
    y += 0.04
    notes = [usable_line(whole_machine), *([f"{left_out}."] if left_out else [])]
    for note in [*notes, *_notes(topology, facts, labelled)]:
        for line in picture.wrap(note.split(), wide, _NOTE_PT, " "):
            picture.write(_MARGIN, y, line, _NOTE_PT, color=FAINT)
            y += line_height(_NOTE_PT)
    y += 0.2
    cards = _place_cards(picture, y, count, facts, rows)
    bottom = max(card.bottom for card in cards.values())
    pairs = pairs_of(topology, _MOST_JOINED)
    EdgeDrawer(picture, topology, classes, rows, cards).draw(pairs, with_labels=labelled)
    below = _draw_homeless(picture, bottom + 0.25, whole, topology)
    if below > bottom + 0.25:
        bottom = below
    if with_table:
        left = _MARGIN + whole + 0.45
        if table is None:
            end = draw_matrix(picture, left, y, topology, classes, count <= _MOST_JOINED)
        else:
            end = table.draw(left, y, classes)
        bottom = max(bottom, end)
    picture.width = max(_MARGIN + wide, *(label.area.right for label in picture.labels)) + _MARGIN
    picture.height = bottom + _MARGIN
    return picture

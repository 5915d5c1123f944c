"""A node's card: its memory, CPUs and devices, in a box that is as high as they need."""

from __future__ import annotations

from numapool.picture.machine import NodeFacts
from numapool.picture.shapes import FAINT, INK, LINE, Area, Box, Picture, line_height

PAD = 0.13
TITLE_PT = 12.0
TEXT_PT = 9.0
CHIP_PT = 8.0
_BAR_HEIGHT = 0.11
_CHIP_PAD = 0.06
_CHIP_GAP = 0.06
_CHIP_HEIGHT = line_height(CHIP_PT) + 0.05
_MOST_LINES = 3  # of CPUs, and of devices of a kind

_HELD, _FREE = "#4a5a6a", "#d6dee6"
#: Fill and edge by the heading: Okabe and Ito's colours, which differ to every eye.
CHIP_COLORS = {
    "storage": ("#e6f1f8", "#0072b2"),
    "network": ("#e5f5ef", "#009e73"),
    "GPU": ("#fbeee6", "#d55e00"),
    "memory devices": ("#f9eff5", "#cc79a7"),
    "other": ("#f1f3f5", "#5f6b77"),
}


def _bar(picture: Picture, area: Area, facts: NodeFacts) -> None:
    """Draw the memory: used memory dark, free memory light."""
    share = facts.held_share
    picture.boxes.append(Box(area=area, fill=_FREE, edge=None))
    if share is None:
        return
    held = Area(x=area.x, y=area.y, width=area.width * share, height=area.height)
    if held.width > 0:
        picture.boxes.append(Box(area=held, fill=_HELD, edge=None))


def _cpu_lines(picture: Picture, facts: NodeFacts, width: float) -> list[str]:
    head, *ranges = f"{facts.cpus}:", *facts.cpu_ranges
    if not ranges:
        return [facts.cpus]
    lines = picture.wrap([f"{head} {ranges[0]}", *ranges[1:]], width, TEXT_PT, ", ")
    if len(lines) > _MOST_LINES:
        del lines[_MOST_LINES:]
        lines[-1] = f"{lines[-1].rsplit(', ', 1)[0].rstrip(',')}, …"
    return lines


def chips(
    picture: Picture, x: float, y: float, width: float, group: str, names: tuple[str, ...]
) -> float:
    """Draw devices under their heading, as many as fit a few lines; return where they end."""
    picture.write(x, y, group, CHIP_PT, color=FAINT)
    y += line_height(CHIP_PT) + 0.02
    fill, edge = CHIP_COLORS[group]
    left, line = x, 0
    for index, name in enumerate(names):
        text = picture.shorten(name, width - 2 * _CHIP_PAD, CHIP_PT)
        wide = picture.measure(text, CHIP_PT, False) + 2 * _CHIP_PAD
        # On the last line each but the last of all leaves room for the word on those to come.
        more = f"+{len(names) - index} more"
        following = index < len(names) - 1 and line == _MOST_LINES - 1
        room = picture.measure(more, CHIP_PT, False) + _CHIP_GAP if following else 0.0
        if left + wide + room > x + width and left > x:
            if line == _MOST_LINES - 1:
                top = y + line * (_CHIP_HEIGHT + _CHIP_GAP)
                picture.write(left, top + 0.025, more, CHIP_PT, color=FAINT)
                break
            left, line = x, line + 1
        top = y + line * (_CHIP_HEIGHT + _CHIP_GAP)
        area = Area(x=left, y=top, width=wide, height=_CHIP_HEIGHT)
        picture.boxes.append(Box(area=area, fill=fill, edge=edge, radius=0.04, line_pt=0.8))
        picture.write(left + _CHIP_PAD, top + 0.025, text, CHIP_PT)
        left += wide + _CHIP_GAP
    return y + (line + 1) * _CHIP_HEIGHT + line * _CHIP_GAP


def draw_card(picture: Picture, x: float, y: float, width: float, facts: NodeFacts) -> Area:
    """Draw a card with its upper left corner at a place, and return what it covers."""
    frame = len(picture.boxes)
    inner = width - 2 * PAD
    left, at = x + PAD, y + PAD * 0.7
    ink = INK if facts.allowed else FAINT
    title = picture.wrap(facts.title.split(","), inner, TITLE_PT, ",", bold=True)
    for line in title:
        picture.write(left, at, line, TITLE_PT, bold=True, color=ink)
        at += line_height(TITLE_PT)
    if facts.remark:
        beside = picture.measure(title[-1], TITLE_PT, True) + _CHIP_GAP
        if beside + picture.measure(facts.remark, TEXT_PT, False) > inner:
            at += line_height(TEXT_PT)
        end = x + width - PAD
        below = at - line_height(TEXT_PT)
        picture.write(end, below, facts.remark, TEXT_PT, color=FAINT, align="right")
    at += 0.03
    words = picture.wrap(facts.memory.split(", "), inner, TEXT_PT, ", ")
    for line in words:
        picture.write(left, at, line, TEXT_PT, color=ink if facts.has_memory else FAINT)
        at += line_height(TEXT_PT)
    if facts.has_memory:
        at += 0.02
        _bar(picture, Area(x=left, y=at, width=inner, height=_BAR_HEIGHT), facts)
        at += _BAR_HEIGHT + 0.05
    for line in _cpu_lines(picture, facts, inner):
        picture.write(left, at, line, TEXT_PT, color=ink if facts.node.cpu_cores else FAINT)
        at += line_height(TEXT_PT)
    if facts.speed:
        for line in picture.wrap(facts.speed.split(", "), inner, TEXT_PT, ", "):
            picture.write(left, at, line, TEXT_PT, color=FAINT)
            at += line_height(TEXT_PT)
    for group, names in facts.devices.items():
        at = chips(picture, left, at + 0.06, inner, group, names)
    area = Area(x=x, y=y, width=width, height=at + PAD - y)
    whole = facts.has_memory and facts.node.cpu_cores
    box = Box(
        area=area,
        edge=INK if facts.allowed else LINE,
        radius=0.09,
        dashed=not whole,
        line_pt=1.4,
    )
    picture.boxes.insert(frame, box)  # below its contents
    return area

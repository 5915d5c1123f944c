"""Writes what commands show where that is no terminal: without rich, as rich would.

A screen for few kinds of things, which must fit. For anything else it says so before a byte is
written, and the caller takes rich.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from numapool.cli.listing import (
    GAP,
    NARROWEST,
    WIDEST,
    Listing,
    Pairs,
    Plain,
    StyledLine,
    is_a_size,
)

if TYPE_CHECKING:
    from typing import TypeAlias

    from rich.console import Console

    Screen: TypeAlias = "Console | PlainScreen"
    Shown: TypeAlias = str | Plain | StyledLine | Pairs | Listing

_USUAL = 80  # characters, where nothing tells
_STYLES = frozenset(
    f"{slash}{weight}{colour}".strip()
    for slash in ("", "/")
    for weight in ("", "bold", "bold ", "dim")
    for colour in ("", "yellow", "red", "green")
)
# What has rich draw for a terminal, or guess another width.
_OF_RICH = (
    "FORCE_COLOR",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
    "JUPYTER_COLUMNS",
    "UNICODE_VERSION",
)


class DoesNotFit(Exception):
    """It takes rich to show this."""


class PlainScreen:
    """Collects lines; nothing is written before :meth:`write`.

    Attributes
    ----------
    width : int
        In characters.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._lines: list[str] = []

    def print(self, shown: Shown = "", **_: object) -> None:
        """Add a line, or a table.

        Raises
        ------
        DoesNotFit
            It is wider than the screen, or something that only rich can show.
        """
        if isinstance(shown, str):
            for line in _wrapped(without_styles(shown), self.width):
                self._add(line)
        elif isinstance(shown, Plain):
            self._add(shown.text)
        elif isinstance(shown, StyledLine):
            self._lines.append(shown.text.rstrip())
        elif isinstance(shown, Pairs):
            left = {0} if not shown.right else set()
            self._add_rows(shown.rows, left | set(range(1, 9)))
        elif isinstance(shown, Listing):
            left = {i for i in range(len(shown.headings)) if shown.is_left(i)}
            rows = [shown.headings, *([_plain(cell) for cell in row] for row in shown.cells)]
            self._add_rows(rows, left, rule=True)
        else:
            raise DoesNotFit

    def write(self) -> None:
        """Write all of it to standard output."""
        sys.stdout.write("".join(f"{line}\n" for line in self._lines))

    def _add(self, line: str) -> None:
        if len(line) > self.width or not line.isascii() or not line.isprintable():
            raise DoesNotFit
        self._lines.append(line)

    def _add_rows(
        self, rows: Sequence[Sequence[str]], left: set[int], *, rule: bool = False
    ) -> None:
        if not rows:
            return
        columns = max(map(len, rows))
        cells = [[*row, *[""] * (columns - len(row))] for row in rows]
        widths = [max(len(row[i]) for row in cells) for i in range(columns)]
        for number, row in enumerate(cells):
            padded = (
                cell.ljust(width) if i in left else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            self._add((" " * GAP).join(padded))
            if rule and not number:
                self._lines.append("\u2500" * len(self._lines[-1]))


def plain_screen() -> PlainScreen | None:
    """Return a screen to write to; None where standard output is a terminal, or special."""
    out = sys.stdout
    if out is None or sys.platform == "win32" or any(name in os.environ for name in _OF_RICH):
        return None
    if out.isatty() or not (out.encoding or "").lower().startswith("utf"):
        return None
    return PlainScreen(_width())


def _width() -> int:
    width = _USUAL
    if os.environ.get("TERM", "").lower() not in ("dumb", "unknown"):
        for descriptor in (0, 1, 2):
            try:
                width = os.get_terminal_size(descriptor).columns or _USUAL
            except (OSError, ValueError):
                continue
            break
        wanted = os.environ.get("COLUMNS", "")
        if is_a_size(wanted):
            width = int(wanted)
    return min(max(width, NARROWEST), WIDEST)


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Break a text between its words, as rich does: the blank before the next word stays."""
    if len(text) <= width:
        yield text
        return
    line = ""
    for word in text.split(" "):
        if not word or len(word) > width:
            raise DoesNotFit
        if len(line) + len(word) > width:
            yield line[:width]
            line = ""
        line += f"{word} "
    yield line[:-1]


def _plain(cell: object) -> str:
    if not isinstance(cell, str):
        raise DoesNotFit
    return without_styles(cell)


def without_styles(text: str) -> str:
    """Return a line without the marks of styles (``[bold]``); other brackets stay."""
    parts = text.split("[")
    plain = parts[0]
    for part in parts[1:]:
        style, closed, rest = part.partition("]")
        if not closed or style not in _STYLES or not style:
            raise DoesNotFit
        plain += rest
    return plain

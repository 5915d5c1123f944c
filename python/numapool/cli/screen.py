"""The screen that commands print on: how wide it is, and tables that stack where it is narrow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

#: Layouts are made for this width at least; a terminal that is narrower breaks their lines itself.
NARROWEST = 40
WIDEST = 1000
_SIZES = ("COLUMNS", "LINES")
_GAP = 2  # between columns


def make_console(*, stderr: bool = False) -> Console:
    """Return a console of a width that something can be printed in.

    A size of 0 in the environment is an unknown one, as it is to other programs; rich would print
    nothing then.
    """
    environment = {
        name: value for name, value in os.environ.items() if name not in _SIZES or _is_a_size(value)
    }
    console = Console(stderr=stderr, _environ=environment)
    if not NARROWEST <= console.width <= WIDEST:
        console.width = min(max(console.width, NARROWEST), WIDEST)
    return console


def can_draw_over(console: Console) -> bool:
    """Whether printed text can be drawn over, as it can on a terminal that moves its cursor."""
    return console.is_terminal and not console.is_dumb_terminal


def _is_a_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0


class Listing:
    """A table; on a screen too narrow for its columns, a few lines ``heading value`` for each row.

    Parameters
    ----------
    *headings : str
    left : iterable of int
        Columns that are aligned to the left.
    folds : mapping of int to int
        Columns whose text may go on in the next line, and the characters that they need at least.
    most : mapping of int to int
        Columns that are folded at a width even where there is room.
    """

    def __init__(
        self,
        *headings: str,
        left: Iterable[int] = (0,),
        folds: Mapping[int, int] = {},
        most: Mapping[int, int] = {},
    ) -> None:
        self._headings = headings
        self._left = frozenset(left)
        self._folds = folds
        self._most = most
        self._rows: list[tuple[tuple[str | Text, ...], str, bool]] = []

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return len(self._rows)

    def add_row(self, *cells: str | Text, style: str = "", end_section: bool = False) -> None:
        """Add a row; cells that are strings may have markup, as everywhere in rich."""
        self._rows.append((cells, style, end_section))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = sum(self._needed(index) for index in range(len(self._headings)))
        if needed + _GAP * (len(self._headings) - 1) <= options.max_width:
            yield self._table()
        else:
            yield from self._stacked()

    def _needed(self, index: int) -> int:
        """Return the least width of a column that loses nothing."""
        cells = [row[index] for row, _, _ in self._rows if index < len(row)]
        width = max(map(_width, [self._headings[index], *cells]))
        width = min(width, self._folds.get(index, width))
        return min(width, self._most.get(index, width))

    def _table(self) -> Table:
        table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
        for index, heading in enumerate(self._headings):
            table.add_column(
                heading,
                justify="left" if index in self._left else "right",
                no_wrap=index not in self._folds and index not in self._most,
                overflow="fold",
                max_width=self._most.get(index),
            )
        for cells, style, end_section in self._rows:
            table.add_row(*cells, style=style, end_section=end_section)
        return table

    def _stacked(self) -> Iterator[Table | Text]:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for cells, style, _ in self._rows:
            for index, (heading, cell) in enumerate(zip(self._headings, cells, strict=False)):
                if _width(cell):
                    grid.add_row(f"  {heading}" if index else heading, cell, style=style)
        yield grid


def _width(cell: str | Text) -> int:
    text = Text.from_markup(cell) if isinstance(cell, str) else cell
    return max((cell_len(line) for line in text.plain.splitlines()), default=0)

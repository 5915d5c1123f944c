"""What commands show on a screen: tables, pairs and lines with styles.

They are drawn by rich on a terminal. Where they are not, and fit, plain.py writes them: loading
rich takes several times as long as Python takes to start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

GAP = 2  # between columns
#: Layouts are made for this width at least; a terminal that is narrower breaks their lines itself.
NARROWEST = 40
WIDEST = 1000


class Plain:
    """Text without markup: what the system says may hold brackets."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __rich__(self) -> Text:
        from rich.text import Text

        return Text(self.text)


class StyledLine:
    """A line whose parts have styles of their own. It is never wrapped."""

    def __init__(self, text: str = "") -> None:
        self._parts: list[tuple[str, str]] = [(text, "")]

    def append(self, text: str, style: str = "") -> None:
        """Add to the end."""
        self._parts.append((text, style))

    @property
    def text(self) -> str:
        """The line without styles."""
        return "".join(text for text, _ in self._parts)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        line = Text(no_wrap=True, overflow="ignore")
        for text, style in self._parts:
            line.append(text, style or None)
        if console.color_system is None:
            line.rstrip()  # the blanks are there to be coloured
        yield line


class Pairs:
    """Two columns without headings: names, and texts that may go on in the next line.

    Parameters
    ----------
    right : bool
        The names are aligned to the right, and bold.
    """

    def __init__(self, *, right: bool = False) -> None:
        self.right = right
        self.rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """Add a row; cells have no markup."""
        self.rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, GAP))
        last = max(map(len, self.rows), default=1) - 1
        for index in range(last):
            justify, style = ("right", "bold") if self.right and not index else ("left", "")
            grid.add_column(no_wrap=True, justify=justify, style=style)  # type: ignore[arg-type]
        grid.add_column(overflow="fold")
        for cells in self.rows:
            grid.add_row(*map(Text, cells))
        yield grid


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

    @property
    def headings(self) -> tuple[str, ...]:
        """The first line."""
        return self._headings

    @property
    def cells(self) -> list[tuple[str | Text, ...]]:
        """The cells of each row."""
        return [cells for cells, _, _ in self._rows]

    def is_left(self, index: int) -> bool:
        """Whether a column is aligned to the left."""
        return index in self._left

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = sum(self._needed(index) for index in range(len(self._headings)))
        if needed + GAP * (len(self._headings) - 1) <= options.max_width:
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
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

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
        from rich.table import Table

        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for cells, style, _ in self._rows:
            for index, (heading, cell) in enumerate(zip(self._headings, cells, strict=False)):
                if _width(cell):
                    grid.add_row(f"  {heading}" if index else heading, cell, style=style)
        yield grid


def is_a_size(text: str) -> bool:
    """Return whether the environment's COLUMNS or LINES says a size; 0 is an unknown one."""
    return text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0


def _width(cell: str | Text) -> int:
    from rich.cells import cell_len
    from rich.text import Text

    text = Text.from_markup(cell) if isinstance(cell, str) else cell
    return max((cell_len(line) for line in text.plain.splitlines()), default=0)

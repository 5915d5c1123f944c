"""The terminal that ``numapool watch`` draws on: what it remembers, scrolls, and sorts by."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.segment import Segment, Segments
from rich.text import Text

from numapool.cli.output import flush
from numapool.cli.sparkline import History
from numapool.cli.watch_state import SORTS
from numapool.cli.watch_view import view
from numapool.pressure.policy import PressureEvent


class WatchScreen:
    """Draws updates over each other on a terminal, below each other elsewhere."""

    def __init__(self, console: Console, sort: str, *, live: bool) -> None:
        self._console = console
        self._sort = sort
        self._history = History()
        self._live = Live(console=console, auto_refresh=False, screen=True) if live else None
        self._top = 0
        self._last: tuple[dict[str, Any], list[tuple[float, PressureEvent]]] | None = None
        self._shown = 0

    def update(self, state: dict[str, Any], recent: list[tuple[float, PressureEvent]]) -> None:
        """Show an update."""
        self._remember(state)
        self._last = (state, recent)
        if self._live is not None:
            self._draw()
            return
        self._console.print(*[Text()] * (self._shown > 0), self._view())
        flush()
        self._shown += 1

    def key(self, key: str) -> None:
        """Do what a key is for, at once."""
        step = {"s": 1, "right": 1, "left": -1}.get(key, 0)
        self._sort = SORTS[(SORTS.index(self._sort) + step) % len(SORTS)]
        self._top = max(self._top + {"down": 1, "up": -1}.get(key, 0), 0)
        if self._live is not None and self._last is not None:
            self._draw()

    def _remember(self, state: dict[str, Any]) -> None:
        add = self._history.add
        if state["stall"] is not None:
            add("stall", state["stall"]["some"])
        for node in (state["reading"] or {"nodes": ()})["nodes"]:
            add(("node", node["node_id"]), node["total_bytes"] - node["available_bytes"])
        for process in state["processes"]:
            add(("process", process["pid"]), process["resident_bytes"])
        for process in state["pools"]:
            for number, pool in enumerate(process["pools"]):
                total = pool["total"]
                name = ("pool", process["pid"], str(pool.get("name", number)))
                add(name, total["in_use_bytes"] + total["retained_bytes"])
        self._history.end_update()

    def _view(self) -> Group:
        assert self._last is not None
        state, recent = self._last
        return view(
            state,
            recent,
            ascii_only=self._console.options.ascii_only,
            history=self._history,
            sort=self._sort,
        )

    def _draw(self) -> None:
        """Draw as many lines as there is room for, and say how many are above and below."""
        assert self._live is not None
        lines = self._console.render_lines(self._view(), pad=False)
        room = max(self._console.size.height - 1, 1)
        self._top = min(self._top, max(len(lines) - room, 0))
        shown = lines[self._top : self._top + room]
        body = [segment for line in shown for segment in (*line, Segment.line())]
        below = len(lines) - self._top - len(shown)
        hints = [f"q quits, s sorts ({self._sort})"]
        if self._top:
            hints.append(f"{self._top} lines above")
        if below:
            hints.append(f"{below} lines below: arrow down")
        foot = Text(", ".join(hints)[: self._console.width], style="dim", end="")
        self._live.update(Group(Segments(body), foot), refresh=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(exc_type, exc, traceback)

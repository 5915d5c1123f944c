"""``numapool watch``: memory pressure, pools and processes, live."""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable
from typing import Annotated

import typer

from numapool.base.sizes import bytes_of
from numapool.cli.failure import say_failure
from numapool.cli.options import named_by
from numapool.cli.output import flush
from numapool.cli.ps import wanted_processes
from numapool.cli.watch_state import SORTS, Watched
from numapool.metrics.published_pools import ask_for_rehearsal, published_pools
from numapool.pressure.monitor import PressureMonitor
from numapool.pressure.policy import PressureEvent, PressureLevel
from numapool.processes.inspect import process_placement

_EVENTS_SHOWN = 6
_REHEARSAL_S = 5.0


class _Rehearsal:
    """Has this command's own monitor rehearse, and processes that allow it."""

    def __init__(self, monitor: PressureMonitor, demand_bytes: int, node: int | None) -> None:
        self._monitor = monitor
        self._node = node
        self._ends_s = time.monotonic() + _REHEARSAL_S
        self._over = False
        monitor._rehearse(PressureLevel.MODERATE, demand_bytes, node)

    def look(self) -> None:
        """End it when its time is up."""
        if not self._over and time.monotonic() >= self._ends_s:
            self._over = True
            self._monitor._rehearse(PressureLevel.NONE, 0, self._node)


def _ask(pids: list[int] | None, demand_bytes: int, node: int | None) -> list[int]:
    """Ask the processes for a rehearsal; return those that were asked."""
    allow = {one["pid"] for one in published_pools() if one.get("rehearsals")}
    asked = sorted(allow if pids is None else allow.intersection(pids))
    if pids and not asked:
        say_failure(
            f"process {pids[0]} takes no rehearsals: it has to call "
            "numapool.publish_pools(rehearsals=True)"
        )
        raise typer.Exit(1)
    for pid in asked:
        ask_for_rehearsal(pid, PressureLevel.MODERATE, demand_bytes, node, _REHEARSAL_S)
    return asked


def _print_lines(
    monitor: PressureMonitor,
    watched: Watched,
    interval_s: float,
    updates: int | None,
    rehearse: Callable[[], _Rehearsal | None],
) -> None:
    events: deque[PressureEvent] = deque(maxlen=10_000)
    with monitor.subscribe(events.append):
        watched.update([])  # where shares begin
        rehearsal = rehearse()
        shown = 0
        while updates is None or shown < updates:
            time.sleep(interval_s)
            if rehearsal is not None:
                rehearsal.look()
            fresh = [events.popleft() for _ in range(len(events))]
            typer.echo(json.dumps(watched.update(fresh)))
            flush()
            shown += 1


def _show_live(
    monitor: PressureMonitor,
    watched: Watched,
    interval_s: float,
    updates: int | None,
    rehearse: Callable[[], _Rehearsal | None],
    sort: str,
) -> None:
    from numapool.cli.keys import pressed
    from numapool.cli.screen import can_draw_over, make_console
    from numapool.cli.watch_screen import WatchScreen

    fresh: deque[PressureEvent] = deque(maxlen=10_000)
    recent: deque[tuple[float, PressureEvent]] = deque(maxlen=_EVENTS_SHOWN)
    console = make_console()
    live = can_draw_over(console)
    with monitor.subscribe(fresh.append), contextlib.ExitStack() as stack:
        wait = stack.enter_context(pressed()) if live else None
        screen = stack.enter_context(WatchScreen(console, sort, live=live))
        rehearsal = rehearse()
        shown = 0
        while True:
            now = time.monotonic_ns()
            if rehearsal is not None:
                rehearsal.look()
            for _ in range(len(fresh)):
                event = fresh.popleft()
                recent.append((time.time() - (now - event.origin_monotonic_ns) / 1e9, event))
            screen.update(watched.update([]), list(recent))
            shown += 1
            if updates is not None and shown >= updates:
                return
            if wait is None:
                time.sleep(interval_s)
                continue
            end = time.monotonic() + interval_s
            while (left := end - time.monotonic()) > 0:
                key = wait(left)
                if key == "q":
                    return
                if key is not None:
                    screen.key(key)


def _demand(text: str) -> int:
    try:
        return bytes_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _one_node(text: str | None) -> int | None:
    found = named_by("--node", text)
    if found is not None and len(found) != 1:
        raise typer.BadParameter(f"{text!r} is several nodes", param_hint="'--node'")
    return found[0] if found else None


def watch(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PID|NAME]...",
            help="Processes to look at: pages by node, policy, cgroup, and their pools.",
            show_default=False,
        ),
    ] = None,
    interval: Annotated[
        float, typer.Option(min=0.05, max=3600, help="Seconds between updates.")
    ] = 1.0,
    updates: Annotated[
        int | None, typer.Option(min=1, help="End after so many updates; else run until Ctrl-C.")
    ] = None,
    sort: Annotated[
        str, typer.Option(metavar="COLUMN", help=f"Sort by {', '.join(SORTS)}.")
    ] = SORTS[0],
    rehearse: Annotated[
        bool,
        typer.Option(
            "--rehearse",
            help="Rehearse pressure for 5 s here, and in the programs that allow it.",
        ),
    ] = False,
    demand: Annotated[
        str, typer.Option(metavar="SIZE", help="With --rehearse: how much is to be released.")
    ] = "64MiB",
    node: Annotated[
        str | None,
        typer.Option(metavar="NODE", help="With --rehearse: the node that memory is short on."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document per line and update.")
    ] = False,
) -> None:
    """Show memory pressure live: sources, nodes, balloon, pools, and the last events.

    Pools are those of this user's programs that call numapool.publish_pools(). On a terminal:
    q quits, s and the arrows left and right choose what tables are sorted by, up and down scroll.
    """
    if sort not in SORTS:
        raise typer.BadParameter(f"{sort!r}; there are {', '.join(SORTS)}", param_hint="'--sort'")
    wanted, short = _demand(demand), _one_node(node)
    pids: Callable[[], list[int]] | None = None
    if targets:
        named = list(targets)
        try:
            first = wanted_processes(named, every=False)
            for pid in first:
                process_placement(pid)  # says now what cannot be looked at
        except (ProcessLookupError, PermissionError) as error:
            say_failure(str(error.strerror or error))
            raise typer.Exit(1) from None
        pids = lambda: _still_there(named)  # noqa: E731
    if rehearse:
        _ask(None if pids is None else pids(), wanted, short)
    with PressureMonitor() as monitor:
        while monitor.reading() is None:  # the first look takes a millisecond or so
            time.sleep(0.001)
        watched = Watched(monitor, pids)

        def begin() -> _Rehearsal | None:
            return _Rehearsal(monitor, wanted, short) if rehearse else None

        # Ctrl-C is how it is meant to end.
        with contextlib.suppress(KeyboardInterrupt):
            if as_json:
                _print_lines(monitor, watched, interval, updates, begin)
            else:
                _show_live(monitor, watched, interval, updates, begin, sort)


def _still_there(targets: list[str]) -> list[int]:
    """Return the processes of those names that are there now."""
    found: list[int] = []
    for target in targets:
        with contextlib.suppress(ProcessLookupError):
            found += wanted_processes([target], every=False)
    return found

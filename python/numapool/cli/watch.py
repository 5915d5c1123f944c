"""``numapool watch``: memory pressure, live."""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from typing import Annotated, Any

import typer

from numapool.cli.output import flush
from numapool.metrics.published_pools import published_pools
from numapool.pressure.monitor import PressureMonitor
from numapool.pressure.policy import PressureEvent

_EVENTS_SHOWN = 6


def state_of(
    monitor: PressureMonitor, events: list[PressureEvent], stall: tuple[float, float] | None
) -> dict[str, Any]:
    """Return everything the view shows, as a dictionary fit for JSON.

    Parameters
    ----------
    events : list of PressureEvent
        Those since the last call.
    stall : tuple of float or None
        Shares of the time, from 0 to 1, in which some and all tasks waited for memory.
    """
    reading = monitor.reading()
    return {
        "time": time.time(),
        "level": monitor.level.name,
        "stall": None if stall is None else {"some": stall[0], "full": stall[1]},
        "reading": None if reading is None else reading.to_dict(),
        "sources": [source.to_dict() for source in monitor.sources],
        "pools": list(published_pools()),
        "events": [event.to_dict() for event in events],
    }


class _StallShare:
    """Turns the growing totals into a share of the time since the last look."""

    def __init__(self) -> None:
        self._last: tuple[float, float, float] | None = None

    def since_last(self, monitor: PressureMonitor) -> tuple[float, float] | None:
        reading = monitor.reading()
        if reading is None or reading.stall_some_s is None or reading.stall_full_s is None:
            return None
        now = (time.monotonic(), reading.stall_some_s, reading.stall_full_s)
        last, self._last = self._last or now, now
        passed = now[0] - last[0]
        if passed <= 0:
            return 0.0, 0.0
        some, full = ((now[i] - last[i]) / passed for i in (1, 2))
        return min(max(some, 0.0), 1.0), min(max(full, 0.0), 1.0)


def _print_lines(monitor: PressureMonitor, interval_s: float, updates: int | None) -> None:
    events: deque[PressureEvent] = deque(maxlen=10_000)
    stall = _StallShare()
    with monitor.subscribe(events.append):
        stall.since_last(monitor)
        shown = 0
        while updates is None or shown < updates:
            time.sleep(interval_s)
            fresh = [events.popleft() for _ in range(len(events))]
            typer.echo(json.dumps(state_of(monitor, fresh, stall.since_last(monitor))))
            flush()
            shown += 1


def _show_live(monitor: PressureMonitor, interval_s: float, updates: int | None) -> None:
    from rich.live import Live
    from rich.text import Text

    from numapool.cli.screen import can_draw_over, make_console
    from numapool.cli.watch_view import view

    fresh: deque[PressureEvent] = deque(maxlen=10_000)
    recent: deque[tuple[float, PressureEvent]] = deque(maxlen=_EVENTS_SHOWN)
    stall = _StallShare()
    console = make_console()
    ascii_only = console.options.ascii_only
    stall.since_last(monitor)
    with monitor.subscribe(fresh.append), contextlib.ExitStack() as stack:
        live: Live | None = None
        if can_draw_over(console):
            live = stack.enter_context(Live(console=console, auto_refresh=False, screen=True))
        shown = 0
        while True:
            now = time.monotonic_ns()
            for _ in range(len(fresh)):
                event = fresh.popleft()
                recent.append((time.time() - (now - event.origin_monotonic_ns) / 1e9, event))
            state = state_of(monitor, [], stall.since_last(monitor))
            update = view(state, list(recent), ascii_only=ascii_only)
            if live is not None:
                live.update(update, refresh=True)
            else:  # for a pipe or a file each update stands below the one before
                console.print(*[Text()] * (shown > 0), update)
                flush()
            shown += 1
            if updates is not None and shown >= updates:
                return
            time.sleep(interval_s)


def watch(
    interval: Annotated[
        float, typer.Option(min=0.05, max=3600, help="Seconds between updates.")
    ] = 1.0,
    updates: Annotated[
        int | None, typer.Option(min=1, help="End after so many updates; else run until Ctrl-C.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document per line and update.")
    ] = False,
) -> None:
    """Show memory pressure live: sources, nodes, balloon, pools, and the last events.

    Pools are those of this user's programs that call numapool.publish_pools().
    """
    with PressureMonitor() as monitor:
        while monitor.reading() is None:  # the first look takes a millisecond or so
            time.sleep(0.001)
        # Ctrl-C is how it is meant to end.
        with contextlib.suppress(KeyboardInterrupt):
            (_print_lines if as_json else _show_live)(monitor, interval, updates)

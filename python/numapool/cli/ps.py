"""``numapool ps``: where processes are: pages by node, policy, CPUs, threads, remote share."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Annotated, Any

import typer

from numapool.cli.failure import say_failure
from numapool.cli.output import flush
from numapool.processes.inspect import ProcessPlacement, process_placement
from numapool.processes.listing import named, own_processes, processes


def wanted_processes(targets: list[str], every: bool) -> list[int]:
    """Return the processes that were asked for; those of this user if none were."""
    if not targets:
        return processes() if every else own_processes()
    found: list[int] = []
    for target in targets:
        if target.isascii() and target.isdigit():
            found.append(int(target))
        else:
            matching = named(target)
            if not matching:
                raise ProcessLookupError(f"there is no process named {target}")
            found += matching
    return list(dict.fromkeys(found))


def _look(pids: list[int], strict: bool, count_s: float | None) -> list[ProcessPlacement]:
    """Look at processes; unless `strict`, without those that end, have no pages, or are others'."""
    found = []
    for pid in pids:
        try:
            placement = process_placement(pid, count_s=count_s)
        except (ProcessLookupError, PermissionError):
            if strict:
                raise
            continue
        if strict or placement.mappings:
            found.append(placement)
    return sorted(found, key=lambda one: -one.resident_bytes)


def _show(
    targets: list[str],
    every: bool,
    count_s: float | None,
    interval_s: float | None,
    updates: int | None,
    as_json: bool,
) -> None:
    from rich.live import Live
    from rich.text import Text

    from numapool.cli.ps_view import view
    from numapool.cli.screen import can_draw_over, make_console

    console = make_console()
    # By number, what cannot be looked at is an error; by name or all, it is left out.
    numbers = bool(targets) and all(target.isdecimal() for target in targets)
    with contextlib.ExitStack() as stack:
        live: Live | None = None
        if interval_s is not None and can_draw_over(console) and not as_json:
            live = stack.enter_context(Live(console=console, auto_refresh=False, screen=True))
        shown = 0
        while True:
            found = _look(wanted_processes(targets, every), numbers, count_s)
            if as_json:
                typer.echo(json.dumps(_document(found), indent=None if interval_s else 2))
            elif live is not None:
                live.update(view(found), refresh=True)
            else:
                console.print(*[Text()] * (shown > 0), view(found))
            flush()
            shown += 1
            if interval_s is None or (updates is not None and shown >= updates):
                return
            time.sleep(interval_s)


def _document(found: list[ProcessPlacement]) -> dict[str, Any]:
    from numapool._core import __version__

    return {"version": __version__, "processes": [one.to_dict() for one in found]}


def ps(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PID|NAME]...", help="Processes; by default all of this user."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every process that this user may look at.")
    ] = False,
    count: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.01,
            max=60,
            help="Count remote accesses so long, process by process.",
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Update until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.05, max=3600, help="With --watch: seconds between updates.")
    ] = 2.0,
    updates: Annotated[
        int | None, typer.Option(min=1, help="With --watch: end after so many updates.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; with --watch, a document per line.")
    ] = False,
) -> None:
    """Show where processes are: pages by node, memory policy, CPUs, threads, remote share.

    One process is shown in detail, by what its pages are for.
    """
    # Ctrl-C is how it is meant to end.
    with contextlib.suppress(KeyboardInterrupt) if watch else contextlib.nullcontext():
        try:
            _show(targets or [], every, count, interval if watch else None, updates, as_json)
        except (ProcessLookupError, PermissionError) as error:
            say_failure(str(error.strerror or error))
            raise typer.Exit(1) from None

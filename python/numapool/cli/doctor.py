"""``numapool doctor``: what numapool can use on this machine, why not, and what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from numapool._core import __version__
from numapool.cli.options import AsJson
from numapool.probes.capabilities import capabilities
from numapool.probes.capability import Capability

if TYPE_CHECKING:
    from rich.console import Console

    from numapool.cli.screen import Listing

_MARKS = {True: "[green]yes", False: "[yellow]no", None: "[yellow]unknown"}


def _missing(found: tuple[Capability, ...]) -> list[str]:
    """Return the names of the essential capabilities that this machine does not have."""
    return [one.name for one in found if one.essential and not one.available]


def _table(found: tuple[Capability, ...]) -> Listing:
    from rich.text import Text

    from numapool.cli.screen import Listing

    table = Listing(
        "capability", "available", "evidence", left=(0, 1, 2), folds={2: 24}, most={0: 22}
    )
    for one in found:
        name = Text(one.name, style="bold" if one.essential else "")
        lacks = one.essential and one.available is False
        table.add_row(name, "[red]no" if lacks else _MARKS[one.available], Text(one.detail))
    return table


def _show_remedies(console: Console, found: tuple[Capability, ...]) -> None:
    """Print what can be done in lines of their own, wide enough for a path to be copied."""
    from rich.padding import Padding
    from rich.text import Text

    remedies = [one for one in found if one.remedy]
    if remedies:
        console.print("\n[bold]What can be done")
    for one in remedies:
        console.print(Text(one.name))
        console.print(Padding(Text(one.remedy), (0, 0, 0, 2)))


def doctor(
    as_json: AsJson = False,
) -> None:
    """Show what numapool can use on this machine, with the evidence and what to do.

    Everything is tried, nothing is changed. Exit status: 0 if this machine can place memory on a
    node and verify it (bind, verify), 1 if not, 2 for wrong usage.
    """
    found = capabilities()
    missing = _missing(found)
    if as_json:
        document = {
            "version": __version__,
            "ok": not missing,
            "missing": missing,
            "capabilities": [one.to_dict() for one in found],
        }
        typer.echo(json.dumps(document, indent=2))
    else:
        from numapool.cli.screen import make_console

        console = make_console()
        console.print(_table(found))
        _show_remedies(console, found)
        console.print()
        if missing:
            console.print(f"[red]Needed to place memory, but missing: {', '.join(missing)}.")
        else:
            console.print("[green]This machine can place memory on a node and verify it.")
    if missing:
        raise typer.Exit(1)

"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from numapool.cli.failure import say_failure
from numapool.cli.recorded import machine_of
from numapool.cli.run_nodes import nodes_named
from numapool.cli.run_options import UsageError

__all__ = ["AsJson", "Sysfs", "machine_of", "named_by"]

#: ``--sysfs PLACE``: a recorded machine instead of this one.
Sysfs = Annotated[
    Path | None,
    typer.Option(
        metavar="PLACE",
        help="A recorded machine: the file of 'numapool capture', or a folder with sys and proc.",
    ),
]

#: ``--json``: for programs.
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def named_by(option: str, text: str | None) -> list[int] | None:
    """Return the nodes that an option names by ids or words, and print a note about them.

    An id need not be of this machine: whoever uses it refuses it.
    """
    if text is None:
        return None
    try:
        found, notes = nodes_named(option, text)
    except UsageError as error:
        why = str(error).partition(": ")[2]
        raise typer.BadParameter(why, param_hint=f"'{option}'") from None
    for note in notes:
        say_failure(note)
    return found

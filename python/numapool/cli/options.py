"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numapool.cli.failure import say_failure
from numapool.cli.run_nodes import nodes_named
from numapool.cli.run_options import UsageError
from numapool.machine.topology import NumaTopology

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

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

# Of archives that were taken apart, as long as the program runs.
_folders: list[TemporaryDirectory[str]] = []


def machine_of(sysfs: Path | None) -> NumaTopology:
    """Return the recorded machine; this one if none was named."""
    if sysfs is None:
        return NumaTopology.detect()
    if not sysfs.is_file():
        return NumaTopology.from_sysfs(sysfs)
    import tarfile
    from tempfile import TemporaryDirectory

    folder = TemporaryDirectory(prefix="numapool-")
    _folders.append(folder)
    try:
        with tarfile.open(sysfs) as archive:
            archive.extractall(folder.name, filter="data")
    except tarfile.TarError as error:
        raise OSError(f"{sysfs} is not an archive of 'numapool capture': {error}") from None
    return NumaTopology.from_sysfs(folder.name)


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

"""``numapool capture``: this machine's description in a file, for a bug report."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Annotated

import typer

from numapool.base.errors import UnsupportedError
from numapool.cli.failure import one_line
from numapool.cli.format import size_text
from numapool.machine.capture import Entry, entries


def write(file: Path, root: str = "/") -> int:
    """Write the machine under `root` into an archive, and return how many files are in it.

    Raises
    ------
    UnsupportedError
        The system has nothing to record.
    """
    if not (Path(root) / "sys").is_dir():
        raise UnsupportedError("this system has no /sys to record: capture needs Linux")
    count = 0
    with tarfile.open(file, "w:gz") as archive:
        for entry in entries(root):
            archive.addfile(_member(entry), io.BytesIO(entry.content))
            count += not entry.path.endswith("/")
    return count


def _member(entry: Entry) -> tarfile.TarInfo:
    member = tarfile.TarInfo(entry.path)
    member.size = len(entry.content)
    if entry.path.endswith("/"):
        member.type, member.mode = tarfile.DIRTYPE, 0o755
    if entry.target is not None:
        member.type = tarfile.SYMTYPE
        member.linkname = entry.target
    return member


def capture(
    file: Annotated[Path, typer.Argument(metavar="FILE.tar.gz", help="The archive to write.")],
) -> None:
    """Record this machine's /sys and /proc in a file, to attach to a bug report.

    It has nodes, CPUs, distances, devices and their places, mounts and memory figures; no serial
    numbers, MAC or network addresses, and no host names. Every --sysfs takes it.
    """
    count = write(file)
    size = size_text(file.stat().st_size)
    typer.echo(f"{one_line(str(file))}: {count} files and links, {size}")

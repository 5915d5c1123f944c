"""Which processes there are, by id, by name, or all."""

from __future__ import annotations

import os
import sys

from numapool.base.errors import UnsupportedError

_PROC = "/proc"


def processes() -> list[int]:
    """Return the ids of all processes that are there, ascending.

    Raises
    ------
    UnsupportedError
        The system does not list them in /proc.
    """
    # Wine shows Linux's /proc to programs that have no owners there.
    if not hasattr(os, "geteuid") or not os.path.isdir(f"{_PROC}/self"):  # noqa: PTH112 - no pathlib
        raise UnsupportedError("this system does not list processes in /proc: ps needs Linux")
    return sorted(int(name) for name in os.listdir(_PROC) if name.isdecimal())  # noqa: PTH208


def own_processes() -> list[int]:
    """Return the ids of this user's processes, ascending."""
    every = processes()
    if sys.platform == "win32":
        raise AssertionError  # processes() has raised there
    user = os.geteuid()
    return [pid for pid in every if _owner(pid) == user]


def named(name: str) -> list[int]:
    """Return the processes of a name: the system's name, or the end of the program's path."""
    return [pid for pid in processes() if name in _names(pid)]


def _owner(pid: int) -> int | None:
    try:
        return os.stat(f"{_PROC}/{pid}").st_uid  # noqa: PTH116 - as elsewhere: no pathlib
    except OSError:  # it has ended
        return None


def _names(pid: int) -> set[str]:
    names = set()
    for file, end in (("comm", "\n"), ("cmdline", "\0")):
        try:
            with open(f"{_PROC}/{pid}/{file}", "rb") as opened:  # noqa: PTH123
                text = os.fsdecode(opened.read()).partition(end)[0]
        except OSError:  # it has ended
            continue
        names.add(text.rpartition("/")[2])
    return names

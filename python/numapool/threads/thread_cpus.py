"""How this system tells and sets the CPUs of threads: sched_setaffinity(2), or Windows' groups."""

from __future__ import annotations

import builtins
import functools
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numapool.threads.windows_cpus import WindowsCpus

#: Whether there is a way at all.
AVAILABLE = hasattr(os, "sched_setaffinity") or sys.platform == "win32"
#: The call that sets them, for messages.
CALL = "sched_setaffinity" if hasattr(os, "sched_setaffinity") else "SetThreadGroupAffinity"
#: Whether a thread that was given every CPU there could be has no list of its own: what is added
#: to its cpuset later is its as well (Linux).
ALL_IS_NO_LIST = hasattr(os, "sched_setaffinity")
#: Whether a thread starts with the CPUs of the one that starts it (Linux), or with the process's.
INHERITED = hasattr(os, "sched_setaffinity")

_TASKS = "/proc/self/task"


@functools.cache
def windows() -> WindowsCpus:
    """Return the real Windows."""
    import ctypes

    from numapool.threads.windows_cpus import WindowsCpus

    return WindowsCpus(ctypes.WinDLL("kernel32", use_last_error=True))  # type: ignore[attr-defined,unused-ignore]


def get() -> frozenset[int]:
    """Return the CPUs that the calling thread may run on."""
    if sys.platform == "win32":
        return windows().get()
    return frozenset(os.sched_getaffinity(0))


def set(cpus: Iterable[int], thread: int = 0) -> None:
    """Have a thread run on CPUs; 0 is the calling one.

    Raises
    ------
    ProcessLookupError
        There is no such thread any more.
    OSError
        The system refuses it.
    """
    if sys.platform == "win32":
        windows().set(cpus, thread)
    else:
        os.sched_setaffinity(thread, cpus)


def usable() -> frozenset[int]:
    """Return the CPUs that the calling thread may choose from, as far as the system tells."""
    return windows().usable() if sys.platform == "win32" else get()


def threads() -> list[int]:
    """Return the ids of this process's threads.

    Raises
    ------
    OSError
        The system does not tell.
    """
    if sys.platform == "win32":
        return windows().threads()
    return [int(name) for name in os.listdir(_TASKS)]  # noqa: PTH208 - as elsewhere: no pathlib


def have_follow(cpus: builtins.set[int] | frozenset[int]) -> None:
    """Have threads that are started from now on run on CPUs, where they do not inherit them.

    Raises
    ------
    OSError
        This system has no way.
    """
    if sys.platform == "win32":
        windows().have_follow(cpus)

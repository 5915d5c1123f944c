"""Processes that a test leaves behind: found, ended, and named."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

#: multiprocessing starts these once, for as long as the process lives.
_KEPT = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
_PR_SET_CHILD_SUBREAPER = 36
_WATCHED = sys.platform == "linux"


def adopt_orphans() -> None:
    """Make this process the parent of every descendant that loses its own.

    Otherwise what a child of a test has started would be a child of init, and not be found.
    """
    if _WATCHED:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> set[int]:
    """Return the ids of the children of this process that have not been waited for."""
    if not _WATCHED:
        return set()
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()  # the usual case, without a look at every process of the machine
    mine = str(os.getpid())
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                stat = Path(entry.path, "stat").read_text(errors="replace")
                if stat.rpartition(")")[2].split()[1] == mine:
                    found.add(int(entry.name))
    return found


def end_left(before: set[int], patience_s: float = 10) -> list[str]:
    """Return the command lines of children that have appeared since `before`, and kill them.

    Parameters
    ----------
    before : set of int
        What :func:`children` returned.
    patience_s : float
        How long those may take that are about to end by themselves.
    """
    end = time.monotonic() + patience_s
    while left := _running(before):
        if time.monotonic() >= end:
            break
        time.sleep(0.01)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    return list(left.values())


def _running(before: set[int]) -> dict[int, str]:
    """Return the command lines of new children, and wait for those that have ended."""
    left = {}
    for pid in children() - before:
        # It may end between any two of these: no such file, or no such process as it is read.
        with contextlib.suppress(ChildProcessError, FileNotFoundError, ProcessLookupError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                line = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
                left[pid] = line.replace("\0", " ").strip()
    return {pid: line for pid, line in left.items() if not any(one in line for one in _KEPT)}

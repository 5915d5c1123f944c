"""Runs a program that is killed when the thread that started it ends, however that happens.

Also for tests that cannot import this: as a script it becomes the program.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def leashed(arguments: Sequence[str]) -> list[str]:
    """Return the command that runs `arguments` so, under the same process id."""
    if sys.platform != "linux":
        return list(arguments)
    return [sys.executable, "-I", __file__, str(os.getpid()), *arguments]


def _become(parent: int, arguments: list[str]) -> None:
    import ctypes
    import signal

    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and exec keeps that
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == parent:  # it has not ended meanwhile
        os.execvp(arguments[0], arguments)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])

"""Single keys from the terminal, while nothing else is read from it."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable, Iterator

#: What terminals send for keys that are no characters.
_NAMES = {
    b"\x1b[A": "up", b"\x1b[B": "down", b"\x1b[C": "right", b"\x1b[D": "left",
    b"\x1bOA": "up", b"\x1bOB": "down", b"\x1bOC": "right", b"\x1bOD": "left",
}  # fmt: skip

#: Waits so many seconds for a key; its name or character, None where there was none.
Wait = Callable[[float], str | None]


@contextlib.contextmanager
def pressed() -> Iterator[Wait]:
    """Have keys told one by one, without echo; where standard input is no terminal, only wait."""
    descriptor = _terminal()
    if sys.platform == "win32" or descriptor is None:
        yield _only_wait
        return
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)  # Ctrl-C still interrupts
        yield lambda seconds: _key(descriptor, seconds)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _terminal() -> int | None:
    """Return standard input, if it is a terminal of ours to read from."""
    if sys.platform == "win32" or sys.stdin is None:
        return None
    try:
        descriptor = sys.stdin.fileno()
        # A background job that reads, or sets the terminal, would be stopped.
        ours = os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except (OSError, ValueError):
        return None
    return descriptor if ours else None


def _only_wait(seconds: float) -> None:
    time.sleep(seconds)


def _key(descriptor: int, seconds: float) -> str | None:
    if not select.select([descriptor], [], [], seconds)[0]:
        return None
    read = os.read(descriptor, 16)
    if not read:  # the terminal has gone
        time.sleep(seconds)
        return None
    return _NAMES.get(read) or read[:1].decode("ascii", "ignore") or None

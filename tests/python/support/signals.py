"""What the children of tests inherit of signals, whoever started the tests."""

from __future__ import annotations

import signal
import sys
from types import FrameType

#: Python ignores these itself, and subprocess gives its children the default action again.
_PYTHONS_OWN = ("SIGPIPE", "SIGXFSZ", "SIGXFZ")


def give_children_defaults() -> None:
    """Let every program that this process starts begin with default signals, none blocked.

    nohup(1), and a shell that starts a job in the background, ignore signals, and what is ignored
    stays ignored in every child. A handler does not: execve(2) sets the default action again. So
    what was ignored gets a handler that does nothing, and this process notices no difference.
    """
    if sys.platform == "win32":
        return
    own = {getattr(signal, name) for name in _PYTHONS_OWN if hasattr(signal, name)}
    for number in signal.valid_signals() - own:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, _do_nothing)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass

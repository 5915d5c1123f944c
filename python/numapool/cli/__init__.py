"""The command ``numapool``: one file per command, loaded when it is called."""

from __future__ import annotations

import os
import sys

_INTERRUPTED = 128 + 2  # as a shell reports a command that SIGINT ended


def main() -> None:
    """Run the command line, and end with its status.

    0: done; 1: it could not be done, and one line on standard error says why; 2: wrong usage; 130:
    interrupted.
    """
    try:
        # Inside, for an interrupt may come while these are being loaded.
        from numapool.cli.app import app
        from numapool.errors import NumapoolError
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    try:
        app(prog_name="numapool", standalone_mode=True)
    except BrokenPipeError:
        _end_quietly()
    except (NumapoolError, OSError, MemoryError) as error:
        sys.exit(f"numapool: {_one_line(str(error)) or type(error).__name__}")
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _one_line(text: str) -> str:
    """Escape what would end the line or steer a terminal: a path may hold any character."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _end_quietly() -> None:
    """Whoever read our output has seen enough: nothing more goes there, at the end neither."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    sys.exit(1)

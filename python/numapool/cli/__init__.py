"""The command ``numapool``: one file per command, loaded when it is called."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line, and end with its status.

    0: done; 1: it could not be done, and one line on standard error says why; 2: wrong usage; 130:
    interrupted.
    """
    from numapool.cli.app import app
    from numapool.errors import NumapoolError

    try:
        app(prog_name="numapool", standalone_mode=True)
    except (NumapoolError, OSError, MemoryError) as error:
        if isinstance(error, BrokenPipeError):
            _end_quietly()
        sys.exit(f"numapool: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _end_quietly() -> None:
    """Whoever read our output has seen enough: nothing more goes there, at the end neither."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    sys.exit(1)

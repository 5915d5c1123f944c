"""Runs the command line and ends with its status."""

from __future__ import annotations

import errno
import io
import os
import sys

from numapool.base.errors import NumapoolError
from numapool.cli.failure import say_failure

# The command that starts another program, which is not to wait: typer takes longer to load than all
# that this one needs.
_STARTER = "run"
_INTERRUPTED = 128 + 2  # as a shell reports a command that SIGINT ended
_WRONG_USAGE = 2
_EXTRA = ("rich", "typer")  # what the extra `cli` installs


def main() -> None:
    """Run the command line, and end with its status.

    0: done; 1: it could not be done, and one line on standard error says why, unless the reader of
    our output has left; 2: wrong usage, or the command line is not installed; 130: interrupted.
    """
    _let_every_character_be_written()
    status = _run()
    # Writes out what is still buffered: if that failed later, Python itself would report it at
    # length.
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        status = status or _failed(error)
        _discard_output()
    sys.exit(status)


def _let_every_character_be_written() -> None:
    """Write characters that the terminal does not have (ASCII, Latin-1) as their escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run() -> int | str | None:
    try:
        # Inside, for an interrupt may come while it is being loaded.
        if sys.argv[1:2] == [_STARTER]:
            from numapool.cli.run import start

            return start(sys.argv[2:])
        if sys.argv[1:2] == ["info"]:
            from numapool.cli.quick import answered

            if answered(sys.argv[1:]):
                return 0
        from numapool.cli.app import app

        app(prog_name="numapool", standalone_mode=True)
    except SystemExit as end:
        return end.code
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing not in _EXTRA:
            raise
        say_failure(
            f"the command line needs {missing}, which is not installed: pip install 'numapool[cli]'"
        )
        return _WRONG_USAGE
    except (NumapoolError, OSError, MemoryError) as error:
        return _failed(error)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _failed(error: Exception) -> int:
    if not _reader_has_left(error):  # it has seen enough
        say_failure(str(error) or type(error).__name__)
    return 1


def _reader_has_left(error: Exception) -> bool:
    if sys.platform != "win32":
        return isinstance(error, BrokenPipeError)
    # The C library there has no EPIPE: a write to a pipe without a reader is invalid.
    if not isinstance(error, OSError):
        return False
    nameless = error.filename is None and error.winerror is None
    return isinstance(error, BrokenPipeError) or (nameless and error.errno == errno.EINVAL)


def _discard_output() -> None:
    """Send what cannot be written nowhere, so that the interpreter does not try again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)

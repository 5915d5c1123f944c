"""``numapool run --per-node`` and ``--per-device``: a rank for each, until all have ended."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from numapool.cli.failure import one_line
from numapool.cli.run_nodes import nodes_named
from numapool.cli.run_options import Options, UsageError
from numapool.processes.launch import launch, numbered, places_of

_TERMINATED = 128 + signal.SIGTERM


class _Terminated(BaseException):
    """Somebody asked this process to end."""


def run_ranks(options: Options) -> int:
    """Start the ranks, and return the job's status."""
    per = _per(options)
    try:
        if options.has("--dry-run"):
            print("\n".join(numbered(places_of(per))))
            return 0
        signal.signal(signal.SIGTERM, _end)
        done = launch(
            options.command,
            per=per,
            restarts=_number(options, "--restarts", 0),
            each=options.has("--each"),
            grace_s=_number(options, "--grace", 10),
            log_dir=options.values.get("--log-dir"),
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    except _Terminated:
        return _TERMINATED
    return done.status


def _end(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def _per(options: Options) -> str | list[int]:
    if options.has("--per-device"):
        return f"device:{options.values['--per-device']}"
    if not options.has("--node") or options.values["--node"] == "all":
        return "node"
    found, notes = nodes_named("--node", options.values["--node"])
    for note in notes:
        print(f"numapool: {one_line(note)}", file=sys.stderr)
    return found


def _number(options: Options, name: str, default: int) -> int:
    text = options.values.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"Invalid value for '{name}': {text!r} is not a whole number from 0 up")
    return int(text)

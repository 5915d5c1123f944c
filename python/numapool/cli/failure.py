"""Says in one line on standard error why a command failed."""

from __future__ import annotations

import sys


def say_failure(reason: str) -> None:
    """Print why something could not be done, in a line on standard error."""
    print(f"numapool: {one_line(reason)}", file=sys.stderr)


def one_line(text: str) -> str:
    """Escape what would end the line or steer a terminal: a path may hold any character."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)

"""Writes out buffered output, if there is a standard output."""

from __future__ import annotations

import sys


def flush() -> None:
    """Write out buffered output; a program may have been started without standard output."""
    if sys.stdout is not None:
        sys.stdout.flush()

"""Has what was printed so far written out, where there is a standard output."""

from __future__ import annotations

import sys


def flush() -> None:
    """Write out what was printed; a program may have been started without standard output."""
    if sys.stdout is not None:
        sys.stdout.flush()

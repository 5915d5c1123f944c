"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def within_seconds(done: Callable[[], object], seconds: float = 10) -> bool:
    """Look until it is done, or the time is up; whether it was."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.002)
    return False

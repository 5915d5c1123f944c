"""Tells the standard library's logging that a pool had no room."""

from __future__ import annotations

import math
import time
import weakref

from numapool import _core
from numapool.base.logs import logger

_log = logger("pool")

#: Seconds between two lines on one pool: a program may try again in a loop.
EXHAUSTED_INTERVAL_S = 10.0

# When each pool's last line was written, and how often it was exhausted since. Without a lock, for
# a fork could leave it taken: threads that meet here write a line more, or miscount.
_told: weakref.WeakKeyDictionary[_core.PoolBase, tuple[float, int]] = weakref.WeakKeyDictionary()


def pool_exhausted(pool: _core.PoolBase, name: str, message: str) -> None:
    """Log that a pool had no room, at most once in `EXHAUSTED_INTERVAL_S` for each."""
    now = time.monotonic()
    last, untold = _told.get(pool, (-math.inf, 0))
    if now - last < EXHAUSTED_INTERVAL_S:
        _told[pool] = last, untold + 1
        return
    _told[pool] = now, 0
    since = f" (and {untold} times more since the last such line)" if untold else ""
    _log.warning("%s exhausted: %s%s", name, message, since)

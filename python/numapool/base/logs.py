"""What numapool tells the standard library's logging: degradations, exhausted pools, pressure.

Loaded once a program that has loaded logging has something to be told. Nothing is logged where a
buffer is had or given back.
"""

from __future__ import annotations

import logging
import math
import time
import weakref
from typing import TYPE_CHECKING

from numapool.pressure.policy import PressureEvent, PressureLevel
from numapool.base.units import size_text

if TYPE_CHECKING:
    from numapool.pools.pool import BufferPool

# Without a handler of the program's own nothing is printed, as libraries should have it.
logging.getLogger("numapool").addHandler(logging.NullHandler())

_placement = logging.getLogger("numapool.placement")
_pool = logging.getLogger("numapool.pool")
_pressure = logging.getLogger("numapool.pressure")

#: Seconds between two lines on one pool: a program may try again in a loop.
EXHAUSTED_INTERVAL_S = 10.0

_LEVELS = {
    PressureLevel.NONE: logging.INFO,
    PressureLevel.MODERATE: logging.WARNING,
    PressureLevel.CRITICAL: logging.ERROR,
}


def degraded(message: str) -> None:
    """Log that memory was handed out with less placement than asked for; once per cause."""
    _placement.warning("%s", message)


# When each pool's last line was written, and how often it was exhausted since. Without a lock, for
# a fork could leave it taken: threads that meet here write a line more, or miscount.
_told: weakref.WeakKeyDictionary[BufferPool, tuple[float, int]] = weakref.WeakKeyDictionary()


def pool_exhausted(pool: BufferPool, message: str) -> None:
    """Log that a pool had no room, at most once in `EXHAUSTED_INTERVAL_S` for each."""
    now = time.monotonic()
    last, untold = _told.get(pool, (-math.inf, 0))
    if now - last < EXHAUSTED_INTERVAL_S:
        _told[pool] = last, untold + 1
        return
    _told[pool] = now, 0
    since = f" (and {untold} times more since the last such line)" if untold else ""
    _pool.warning("%s exhausted: %s%s", pool.name, message, since)


class PressureLog:
    """A handler of pressure events that logs them."""

    def __init__(self) -> None:
        self._levels: dict[int | None, PressureLevel] = {}

    def __call__(self, event: PressureEvent) -> None:
        """Log an event; one at the level of the last on its node is for debugging."""
        same = self._levels.get(event.node_id) == event.level
        self._levels[event.node_id] = event.level
        level = logging.DEBUG if same else _LEVELS[event.level]
        if not _pressure.isEnabledFor(level):
            return
        where = "" if event.node_id is None else f" on node {event.node_id}"
        if event.level is PressureLevel.NONE:
            text = f"memory pressure is over{where}"
        else:
            text = (
                f"memory pressure {event.level.name}{where}, by {event.source}: "
                f"{size_text(event.demand_bytes)} asked, {size_text(event.trimmed_bytes)} "
                f"trimmed, {size_text(event.bytes_to_release)} to release; "
                f"stalled {event.stall_s * 1000:.0f} ms"
            )
        _pressure.log(level, "%s", text, extra={"pressure_event": event})

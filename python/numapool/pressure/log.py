"""Tells the standard library's logging of pressure events."""

from __future__ import annotations

import logging

from numapool.base.logs import logger
from numapool.base.units import size_text
from numapool.pressure.policy import PressureEvent, PressureLevel

_log = logger("pressure")

_LEVELS = {
    PressureLevel.NONE: logging.INFO,
    PressureLevel.MODERATE: logging.WARNING,
    PressureLevel.CRITICAL: logging.ERROR,
}


class PressureLog:
    """A handler of pressure events that logs them."""

    def __init__(self) -> None:
        self._levels: dict[int | None, PressureLevel] = {}

    def __call__(self, event: PressureEvent) -> None:
        """Log an event; one at the level of the last on its node is for debugging."""
        same = self._levels.get(event.node_id) == event.level
        self._levels[event.node_id] = event.level
        level = logging.DEBUG if same else _LEVELS[event.level]
        if not _log.isEnabledFor(level):
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
        _log.log(level, "%s", text, extra={"pressure_event": event})

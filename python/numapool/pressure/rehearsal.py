"""Rehearsals of pressure: the monitors that run trim and tell, and no memory is short."""

from __future__ import annotations

import time
from collections.abc import Iterable

from numapool import _core
from numapool.pressure.monitor import PressureMonitor, monitors_of_this_process
from numapool.pressure.policy import NAMES, REHEARSAL, PressureEvent, PressureLevel, event_of

_PATIENCE_S = 30.0


def running_monitors(monitors: Iterable[PressureMonitor] | None = None) -> list[PressureMonitor]:
    """Return those that run, by default of all monitors of this process.

    Raises
    ------
    ValueError
        None does.
    """
    some = monitors_of_this_process() if monitors is None else monitors
    running = [one for one in some if one.running]
    if not running:
        raise ValueError(
            "no pressure monitor runs in this process: start one before the rehearsal "
            "(with PressureMonitor() as monitor:)"
        )
    return running


class Played:
    """Has monitors play events, one level after the other, and waits until each has told of it."""

    def __init__(self, monitors: list[PressureMonitor]) -> None:
        self._queues = [(one, one._core.subscribe()) for one in monitors]

    def play(
        self, level: PressureLevel, demand_bytes: int, node_id: int | None
    ) -> list[PressureEvent]:
        """Return what each monitor told; those that have been stopped tell nothing."""
        told = []
        asked = [
            (monitor, queue)
            for monitor, queue in self._queues
            if monitor._rehearse(level, demand_bytes, node_id)
        ]
        for monitor, queue in asked:
            event = _next(monitor, queue)
            if event is not None:
                told.append(event_of(event))
        return told

    def close(self) -> None:
        """End the subscriptions."""
        for _, queue in self._queues:
            queue.close()


def _next(monitor: PressureMonitor, queue: _core.EventQueue) -> _core.PressureEvent | None:
    end = time.monotonic() + _PATIENCE_S
    while monitor.running:
        for event in queue.take():
            if NAMES[event.source] == REHEARSAL:
                return event
        if time.monotonic() > end:
            raise TimeoutError(
                f"a pressure monitor has not answered the rehearsal in {_PATIENCE_S:.0f} s: it "
                "trims very large pools, or its thread gets no CPU"
            )
        time.sleep(0.0005)
    return None

"""Pressure without a full machine: monitors trim their pools and tell their handlers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import SupportsIndex

from numapool.base import arguments
from numapool.pressure.monitor import PressureMonitor
from numapool.pressure.policy import PressureEvent, PressureLevel
from numapool.pressure.rehearsal import Played, running_monitors


@dataclass(slots=True)
class Rehearsal:
    """What came of a rehearsal.

    Attributes
    ----------
    events : list of PressureEvent
        What the monitors told: an event of each at the beginning, and one of level NONE of each at
        the end. ``rehearsed`` is true of all of them.
    """

    events: list[PressureEvent] = field(default_factory=list)

    @property
    def trimmed_bytes(self) -> int:
        """Bytes that attached pools have given back."""
        return sum(event.trimmed_bytes for event in self.events)


@contextlib.contextmanager
def pressure(
    *,
    node: SupportsIndex | None = None,
    demand_bytes: arguments.SizeLike = 64 << 20,
    level: PressureLevel = PressureLevel.MODERATE,
    monitors: Iterable[PressureMonitor] | None = None,
) -> Iterator[Rehearsal]:
    """Rehearse memory pressure for as long as the block lasts. No memory is filled.

    The native threads of the monitors act as under pressure: they trim attached pools,
    which gives memory back for real, tell every handler, and show the level. At the end of the
    block they tell that it is over. When the block begins, pools have been trimmed and events are
    on their way; handlers run on threads of their own, so wait for what yours does.

    Parameters
    ----------
    node : int, optional
        The node that memory is short on; by default the whole machine. It need not exist.
    demand_bytes : int or str
        How much is to be released, such as ``"64MiB"``.
    level : PressureLevel
        MODERATE or CRITICAL.
    monitors : iterable of PressureMonitor, optional
        By default all of this process. Those that do not run are left out.

    Yields
    ------
    Rehearsal
        Its ``events`` and ``trimmed_bytes``.

    Raises
    ------
    ValueError
        No monitor runs, or `level` is NONE.
    TimeoutError
        A monitor has not answered in 30 s.
    """
    node_id = None if node is None else arguments.node("node", node)
    if node_id is not None and node_id < 0:
        raise ValueError(arguments.must_be("node", "the id of a node, 0 or more", node_id))
    demand = arguments.size_at_least("demand_bytes", demand_bytes, 0)
    wanted = arguments.instance("level", level, PressureLevel)
    if wanted is PressureLevel.NONE:
        raise ValueError(arguments.must_be("level", "MODERATE or CRITICAL", level.name))
    if monitors is not None:
        found = arguments.items("monitors", monitors, "an iterable of PressureMonitor or None")
        monitors = [arguments.instance("each of monitors", one, PressureMonitor) for one in found]
    played = Played(running_monitors(monitors))
    rehearsal = Rehearsal()
    try:
        rehearsal.events += played.play(wanted, min(demand, 2**63), node_id)
        try:
            yield rehearsal
        finally:
            rehearsal.events += played.play(PressureLevel.NONE, 0, node_id)
    finally:
        played.close()

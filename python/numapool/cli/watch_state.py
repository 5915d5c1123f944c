"""What ``numapool watch`` shows: one update, as a dictionary fit for JSON."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from numapool.metrics.published_pools import published_pools
from numapool.pressure.monitor import PressureMonitor
from numapool.pressure.policy import PressureEvent
from numapool.processes.cgroup_memory import cgroup_state
from numapool.processes.inspect import process_placement

#: What tables are sorted by.
SORTS = ("process", "program", "memory", "trimmed", "hits")
_REMOTE = {"hits": "remote_share", "trimmed": "resident_bytes", "memory": "resident_bytes"}


class StallShare:
    """Turns growing totals into shares of the time since the last look, each by its name."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, float, float]] = {}

    def of(self, name: str, some_s: float | None, full_s: float | None) -> dict[str, float] | None:
        """Return the shares, from 0 to 1; None where there are no totals."""
        if some_s is None or full_s is None:
            return None
        now = (time.monotonic(), some_s, full_s)
        last = self._last.get(name, now)
        self._last[name] = now
        passed = now[0] - last[0]
        shares = ((now[i] - last[i]) / passed if passed > 0 else 0.0 for i in (1, 2))
        some, full = (min(max(share, 0.0), 1.0) for share in shares)
        return {"some": some, "full": full}


class Watched:
    """Reads one update after the other.

    Parameters
    ----------
    monitor : PressureMonitor
    pids : callable or None
        Returns the processes to look at; None: none, and all published pools.
    """

    def __init__(self, monitor: PressureMonitor, pids: Callable[[], list[int]] | None) -> None:
        self._monitor = monitor
        self._pids = pids
        self._stalls = StallShare()

    def update(self, events: list[PressureEvent]) -> dict[str, Any]:
        """Return everything the view shows.

        Parameters
        ----------
        events : list of PressureEvent
            Those since the last update.
        """
        reading = self._monitor.reading()
        stall = (
            None
            if reading is None
            else self._stalls.of("machine", reading.stall_some_s, reading.stall_full_s)
        )
        pids = None if self._pids is None else self._pids()
        return {
            "time": time.time(),
            "level": self._monitor.level.name,
            "stall": stall,
            "reading": None if reading is None else reading.to_dict(),
            "sources": [source.to_dict() for source in self._monitor.sources],
            "watches_processes": pids is not None,
            "processes": [] if pids is None else self._processes(pids),
            "pools": [one for one in published_pools() if pids is None or one["pid"] in pids],
            "events": [event.to_dict() for event in events],
        }

    def _processes(self, pids: list[int]) -> list[dict[str, Any]]:
        found = []
        for pid in pids:
            try:
                placement = process_placement(pid)
            except ProcessLookupError:  # it has ended since
                continue
            cgroup = cgroup_state(f"/proc/{pid}")
            told = None if cgroup is None else cgroup.to_dict()
            if cgroup is not None and told is not None:
                told["stall"] = self._stalls.of(
                    cgroup.path, cgroup.stall_some_s, cgroup.stall_full_s
                )
            found.append({**placement.to_dict(), "cgroup": told})
        return found


def sort_processes(processes: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """Sort processes: by a name or number ascending, by a figure the largest first."""
    if by in ("process", "program"):
        return sorted(
            processes, key=lambda one: (one["name"] if by == "program" else "", one["pid"])
        )
    return sorted(processes, key=lambda one: (-(one[_REMOTE[by]] or 0), one["pid"]))


def pool_rows(state: dict[str, Any], by: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each published pool with its process, sorted likewise."""
    rows = [(process, pool) for process in state["pools"] for pool in process["pools"]]

    def figure(pool: dict[str, Any]) -> float:
        total = pool["total"]
        if by == "memory":
            return float(total["in_use_bytes"] + total["retained_bytes"])
        if by == "trimmed":
            return float(total["trimmed_bytes"])
        requests = total["hits"] + total["misses"]
        return total["hits"] / requests if requests else 0.0

    if by in ("process", "program"):
        names = by == "program"
        return sorted(
            rows, key=lambda row: (str(row[0]["program"]) if names else "", row[0]["pid"])
        )
    return sorted(rows, key=lambda row: -figure(row[1]))

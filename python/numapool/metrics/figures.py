"""What a scrape reads: pools, nodes, locality, pressure and the balloon, each under its name."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from numapool._core import __version__
from numapool.balloon.driver import BalloonDriver
from numapool.base import arguments
from numapool.base.locks import Rank, new_lock
from numapool.machine.topology import NumaTopology
from numapool.metrics.locality import Figure, Locality
from numapool.metrics.totals_by_name import PoolTotals
from numapool.pools.pool import BufferPool, pools_of_this_process
from numapool.pressure.monitor import PressureMonitor
from numapool.pressure.policy import PressureStatistics
from numapool.pressure.reading import PressureReading

_POOL_GAUGES = ("in_use_bytes", "retained_bytes", "high_water_bytes")
_POOL_COUNTERS = ("hits", "larger_hits", "misses", "spills", "trimmed_bytes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Histogram:
    """How many were at most each limit (``le``), added up, and the sum of all."""

    counts: tuple[tuple[str, int], ...]
    sum: float


class Figures:
    """Reads every figure; safe to use from many threads.

    Parameters
    ----------
    pools : iterable of BufferPool, optional
        By default every pool of this process that is open then.
    monitor : PressureMonitor, optional
    balloon : BalloonDriver, optional
    topology : NumaTopology, optional
        By default the nodes of the machine as they are then.
    locality : bool
        Whether to tell where this process's memory is, and what the kernel counts by node.
    """

    def __init__(
        self,
        *,
        pools: Iterable[BufferPool] | None = None,
        monitor: PressureMonitor | None = None,
        balloon: BalloonDriver | None = None,
        topology: NumaTopology | None = None,
        locality: bool = True,
    ) -> None:
        if pools is not None:
            found = arguments.items("pools", pools, "an iterable of BufferPool or None")
            pools = [arguments.instance("each of pools", pool, BufferPool) for pool in found]
        self._monitor = arguments.optional_instance("monitor", monitor, PressureMonitor)
        self._balloon = arguments.optional_instance("balloon", balloon, BalloonDriver)
        self._topology = arguments.optional_instance("topology", topology, NumaTopology)
        self._pools = None if pools is None else [weakref.ref(pool) for pool in pools]
        self._totals = PoolTotals()
        self._locality = Locality() if arguments.flag("locality", locality) else None
        self.lock = new_lock(Rank.METRICS)

    def read(self) -> Iterator[Figure]:
        """Read everything but the histogram; a part that cannot be read is left out."""
        yield "build", (__version__,), 1
        with self.lock:
            yield from list(self._of_pools())
        reading = None if self._monitor is None else self._monitor.reading()
        try:
            topology = self._topology or NumaTopology.detect()
        except (OSError, ValueError):  # no descriptors are left to read them
            topology = None
        if topology is not None:
            yield from _of_nodes(topology)
        if self._locality is not None:
            nodes = () if topology is None else topology.nodes
            ids = tuple(node.node_id for node in nodes)
            with self.lock:
                found = list(self._locality.figures(ids))
            yield from found
        if reading is not None:
            yield from _of_reading(reading)
        if self._monitor is not None:
            yield "pressure_level", (), int(self._monitor.level)
            yield from _of_pressure(self._monitor.statistics())
        if self._balloon is not None:
            yield from _of_balloon(self._balloon)

    def reactions(self) -> Histogram | None:
        """Return the reaction times; None without a monitor."""
        if self._monitor is None:
            return None
        seen = self._monitor.statistics()
        counts: list[tuple[str, int]] = []
        so_far = 0
        for limit, count in seen.reactions_by_limit_s.items():
            so_far += count
            counts.append(("+Inf" if math.isinf(limit) else repr(limit), so_far))
        return Histogram(counts=tuple(counts), sum=seen.reaction_sum_s)

    def _open_pools(self) -> list[BufferPool]:
        if self._pools is None:
            return pools_of_this_process()
        pools = (reference() for reference in self._pools)
        return [pool for pool in pools if pool is not None and not pool.closed]

    def _of_pools(self) -> Iterator[Figure]:
        sums = self._totals.look(self._open_pools())
        for pool, one in sums.items():
            for node, some in one.open_counts.items():
                for name in _POOL_GAUGES:
                    held = sum(getattr(counts, name) for counts in some)
                    yield f"pool_{name}", (pool, node), held
            for node, grown in one.grown.items():
                for name in _POOL_COUNTERS:
                    yield f"pool_{name}_total", (pool, node), grown[name]
            if one.max_bytes is not None:
                yield "pool_max_bytes", (pool,), one.max_bytes


def _of_nodes(topology: NumaTopology) -> Iterator[Figure]:
    for node in topology.nodes:
        at = (node.node_id,)
        if node.total_memory_bytes is not None:
            yield "node_memory_bytes", at, node.total_memory_bytes
        yield "node_cpus", at, len(node.cpu_cores)
        try:
            yield "node_memory_free_bytes", at, node.free_memory_bytes()
        except (OSError, ValueError):  # it went offline
            continue


def _of_reading(reading: PressureReading) -> Iterator[Figure]:
    for node in reading.nodes:
        yield "node_memory_available_bytes", (node.node_id,), node.available_bytes
    for name, value in (
        ("machine_memory_bytes", reading.total_bytes),
        ("machine_memory_available_bytes", reading.available_bytes),
        ("cgroup_limit_bytes", reading.cgroup_limit_bytes),
        ("cgroup_needed_bytes", reading.cgroup_needed_bytes),
    ):
        if value is not None:
            yield name, (), value
    stalls = {"some": reading.stall_some_s, "full": reading.stall_full_s}
    for tasks, seconds in stalls.items():
        if seconds is not None:
            yield "pressure_stall_seconds_total", (tasks,), seconds


def _of_pressure(seen: PressureStatistics) -> Iterator[Figure]:
    for source, count in seen.events_by_source.items():
        yield "pressure_events_total", (source,), count
    yield "pressure_trimmed_bytes_total", (), seen.trimmed_bytes
    yield "pressure_looks_total", (), seen.looks
    yield "pressure_dropped_events_total", (), seen.dropped_events


def _of_balloon(balloon: BalloonDriver) -> Iterator[Figure]:
    state = balloon.state()
    yield "balloon_available", (state.driver or "none",), int(balloon.available)
    if state.inflated_bytes is not None:
        yield "balloon_inflated_bytes", (), state.inflated_bytes
    if state.target_bytes is not None:
        yield "balloon_target_bytes", (), state.target_bytes

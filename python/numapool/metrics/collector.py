"""Prometheus metrics of pools, nodes, memory pressure and the balloon."""

from __future__ import annotations

import importlib
import math
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from numapool._core import __version__
from numapool.balloon.driver import BalloonDriver
from numapool.base import arguments
from numapool.base.errors import UnsupportedError
from numapool.base.locks import Rank, new_lock
from numapool.machine.topology import NumaTopology
from numapool.metrics.totals_by_name import PoolTotals
from numapool.pools.pool import BufferPool, pools_of_this_process
from numapool.pressure.monitor import PressureMonitor

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from numapool.pressure.policy import PressureStatistics
    from numapool.pressure.reading import PressureReading

_Samples = Iterable[tuple[tuple[object, ...], float]]

_POOL_GAUGES = {
    "in_use_bytes": "Bytes in buffers that are out, by the node where the pages are.",
    "retained_bytes": "Bytes that are resident and free for reuse, by the node where they are.",
    "high_water_bytes": "The most bytes of the node that were held from the system at once.",
}
_POOL_COUNTERS = {
    "hits": "Requests served by a retained block, by the node that was asked for.",
    "misses": "Requests served by the system, by the node that was asked for.",
    "spills": "Requests served from another node, by the node that was asked for.",
    "trimmed_bytes": "Bytes given back to the system, by the node where the pages were.",
}


def _prometheus() -> Any:
    try:
        return importlib.import_module("prometheus_client.core")
    except ImportError as error:
        raise UnsupportedError(
            f"metrics need prometheus_client, which cannot be loaded ({error}): "
            "pip install 'numapool[prometheus]'"
        ) from error


class MetricsCollector:
    """A collector for prometheus_client: pools, nodes, memory pressure and the balloon.

    Register it, and each scrape reads what there is to read then; in between it does nothing.
    docs/metrics.md lists the metrics. Safe to use from many threads.

    Parameters
    ----------
    pools : iterable of BufferPool, optional
        By default every pool of this process that is open at the scrape. Pools of one name are
        added up; what closed pools counted stays in the counters.
    monitor : PressureMonitor, optional
        Whose events and readings to tell.
    balloon : BalloonDriver, optional
        Whose state to tell.
    topology : NumaTopology, optional
        The nodes to tell, by default those of the machine at each scrape.

    Raises
    ------
    UnsupportedError
        prometheus_client cannot be loaded.
    """

    def __init__(
        self,
        *,
        pools: Iterable[BufferPool] | None = None,
        monitor: PressureMonitor | None = None,
        balloon: BalloonDriver | None = None,
        topology: NumaTopology | None = None,
    ) -> None:
        if pools is not None:
            found = arguments.items("pools", pools, "an iterable of BufferPool or None")
            pools = [arguments.instance("each of pools", pool, BufferPool) for pool in found]
        arguments.optional_instance("monitor", monitor, PressureMonitor)
        arguments.optional_instance("balloon", balloon, BalloonDriver)
        self._topology = arguments.optional_instance("topology", topology, NumaTopology)
        self._core = _prometheus()
        self._pools = None if pools is None else [weakref.ref(pool) for pool in pools]
        self._monitor = monitor
        self._balloon = balloon
        self._totals = PoolTotals()
        self._lock = new_lock(Rank.METRICS)

    def describe(self) -> list[Metric]:
        """Return nothing, so that to register it takes no scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read everything, as a scrape does."""
        info = self._core.InfoMetricFamily("numapool_build", "The version of numapool.")
        info.add_metric([], {"version": __version__})
        yield info
        yield from self._of_pools()
        reading = None if self._monitor is None else self._monitor.reading()
        yield from self._of_nodes(reading)
        if self._monitor is not None:
            yield self._gauge(
                "pressure_level",
                "How short memory is: 0 none, 1 moderate, 2 critical.",
                [((), int(self._monitor.level))],
            )
            yield from self._of_pressure(self._monitor.statistics())
        if reading is not None:
            yield from self._of_reading(reading)
        if self._balloon is not None:
            yield from self._of_balloon(self._balloon)

    def _family(
        self, kind: str, name: str, help_text: str, samples: _Samples, labels: tuple[str, ...]
    ) -> Metric:
        family = getattr(self._core, kind)(f"numapool_{name}", help_text, labels=labels)
        for values, value in samples:
            family.add_metric([str(one) for one in values], value)
        return family  # type: ignore[no-any-return]

    def _gauge(
        self, name: str, help_text: str, samples: _Samples, labels: tuple[str, ...] = ()
    ) -> Metric:
        return self._family("GaugeMetricFamily", name, help_text, samples, labels)

    def _counter(
        self, name: str, help_text: str, samples: _Samples, labels: tuple[str, ...] = ()
    ) -> Metric:
        return self._family("CounterMetricFamily", name, help_text, samples, labels)

    def _open_pools(self) -> list[BufferPool]:
        if self._pools is None:
            return pools_of_this_process()
        pools = (reference() for reference in self._pools)
        return [pool for pool in pools if pool is not None and not pool.closed]

    def _of_pools(self) -> Iterator[Metric]:
        with self._lock:
            sums = self._totals.look(self._open_pools())
        labels = ("pool", "node")
        for name, help_text in _POOL_GAUGES.items():
            held = [
                ((pool, node), sum(getattr(counts, name) for counts in some))
                for pool, one in sums.items()
                for node, some in one.open_counts.items()
            ]
            yield self._gauge(f"pool_{name}", help_text, held, labels)
        for name, help_text in _POOL_COUNTERS.items():
            counted = [
                ((pool, node), grown[name])
                for pool, one in sums.items()
                for node, grown in one.grown.items()
            ]
            yield self._counter(f"pool_{name}", help_text, counted, labels)
        yield self._gauge(
            "pool_max_bytes",
            "The most bytes that the pool may hold; pools without a cap are left out.",
            [((pool,), one.max_bytes) for pool, one in sums.items() if one.max_bytes is not None],
            ("pool",),
        )

    def _of_nodes(self, reading: PressureReading | None) -> Iterator[Metric]:
        try:
            nodes = (self._topology or NumaTopology.detect()).nodes
        except (OSError, ValueError):  # no descriptors are left to read them
            nodes = ()
        free: list[tuple[tuple[object, ...], float]] = []
        for node in nodes:
            try:
                free.append(((node.node_id,), node.free_memory_bytes()))
            except (OSError, ValueError):  # it went offline
                continue
        labels = ("node",)
        total = [
            ((node.node_id,), node.total_memory_bytes)
            for node in nodes
            if node.total_memory_bytes is not None
        ]
        yield self._gauge("node_memory_bytes", "Memory of the node.", total, labels)
        yield self._gauge(
            "node_memory_free_bytes", "Free memory, clean file cache not counted.", free, labels
        )
        cpus = [((node.node_id,), len(node.cpu_cores)) for node in nodes]
        yield self._gauge("node_cpus", "CPUs of the node that are online.", cpus, labels)
        if reading is not None:
            yield self._gauge(
                "node_memory_available_bytes",
                "Free memory above the kernel's reserve, and clean file cache.",
                [((node.node_id,), node.available_bytes) for node in reading.nodes],
                labels,
            )

    def _of_pressure(self, seen: PressureStatistics) -> Iterator[Metric]:
        yield self._counter(
            "pressure_events",
            "Events of memory pressure, relief included, by what gave the evidence.",
            [((source,), count) for source, count in seen.events_by_source.items()],
            ("source",),
        )
        for name, help_text, value in (
            ("trimmed_bytes", "Bytes that attached pools gave back.", seen.trimmed_bytes),
            ("looks", "Looks at all sources.", seen.looks),
            ("dropped_events", "Events that a slow subscriber missed.", seen.dropped_events),
        ):
            yield self._counter(f"pressure_{name}", help_text, [((), value)])
        buckets: list[tuple[str, float]] = []
        sum_so_far = 0
        for limit, count in seen.reactions_by_limit_s.items():
            sum_so_far += count
            buckets.append(("+Inf" if math.isinf(limit) else repr(limit), sum_so_far))
        histogram = self._core.HistogramMetricFamily(
            "numapool_pressure_reaction_seconds",
            "Time from the beginning of the pressure to memory released.",
        )
        histogram.add_metric([], buckets, seen.reaction_sum_s)
        yield histogram

    def _of_reading(self, reading: PressureReading) -> Iterator[Metric]:
        for name, help_text, value in (
            ("machine_memory_bytes", "Memory of the machine.", reading.total_bytes),
            ("machine_memory_available_bytes", "MemAvailable.", reading.available_bytes),
            ("cgroup_limit_bytes", "The limit with the least room.", reading.cgroup_limit_bytes),
            (
                "cgroup_needed_bytes",
                "What is charged to that limit, clean file cache left out.",
                reading.cgroup_needed_bytes,
            ),
        ):
            if value is not None:
                yield self._gauge(name, help_text, [((), value)])
        stalls = {"some": reading.stall_some_s, "full": reading.stall_full_s}
        known = [((kind,), value) for kind, value in stalls.items() if value is not None]
        if known:
            yield self._counter(
                "pressure_stall_seconds",
                "Time in which some or all tasks waited for memory (PSI).",
                known,
                ("tasks",),
            )

    def _of_balloon(self, balloon: BalloonDriver) -> Iterator[Metric]:
        state = balloon.state()
        yield self._gauge(
            "balloon_available",
            "Whether a balloon is at work, 1 or 0.",
            [((state.driver or "none",), int(balloon.available))],
            ("driver",),
        )
        for name, help_text, value in (
            ("inflated_bytes", "What the host has taken.", state.inflated_bytes),
            ("target_bytes", "What the host wants to take.", state.target_bytes),
        ):
            if value is not None:
                yield self._gauge(f"balloon_{name}", help_text, [((), value)])

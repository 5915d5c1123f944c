"""Prometheus: the metrics as prometheus_client's registries collect them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from numapool.balloon.driver import BalloonDriver
from numapool.base.errors import UnsupportedError
from numapool.machine.topology import NumaTopology
from numapool.metrics.figures import Figures
from numapool.metrics.instruments import INSTRUMENTS
from numapool.pools.pool import BufferPool
from numapool.pressure.monitor import PressureMonitor

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_FAMILIES = {
    "gauge": "GaugeMetricFamily",
    "counter": "CounterMetricFamily",
    "histogram": "HistogramMetricFamily",
    "info": "InfoMetricFamily",
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
    """A collector for prometheus_client: pools, nodes, locality, pressure and the balloon.

    Register it, and each scrape reads what there is to read then; in between it does nothing.
    docs/metrics.md lists the metrics. What cannot be read is left out. Safe to use from many
    threads.

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
    locality : bool
        Whether to tell where this process's memory and threads are, and what the kernel counts by
        node. The kernel walks the process's pages for it, in at most a hundredth of the time.

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
        locality: bool = True,
    ) -> None:
        self._figures = Figures(
            pools=pools, monitor=monitor, balloon=balloon, topology=topology, locality=locality
        )
        self._core = _prometheus()

    def describe(self) -> list[Metric]:
        """Return nothing, so that to register it takes no scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read everything, as a scrape does."""
        families: dict[str, Any] = {}
        for name, labels, value in self._figures.read():
            family = families.get(name)
            if family is None:
                family = families[name] = self._family(name)
            if INSTRUMENTS[name].kind == "info":
                family.add_metric([], dict(zip(INSTRUMENTS[name].labels, labels, strict=True)))
            else:
                family.add_metric([str(one) for one in labels], value)
        reactions = self._figures.reactions()
        if reactions is not None:
            histogram = families["pressure_reaction_seconds"] = self._family(
                "pressure_reaction_seconds"
            )
            histogram.add_metric([], list(reactions.counts), reactions.sum)
        yield from families.values()

    def _family(self, name: str) -> Any:
        one = INSTRUMENTS[name]
        labels = {} if one.kind == "info" else {"labels": one.labels}
        return getattr(self._core, _FAMILIES[one.kind])(one.name, one.meaning, **labels)

"""OpenTelemetry: the same metrics, as instruments that are read when they are exported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from numapool._core import __version__
from numapool.balloon.driver import BalloonDriver
from numapool.base.errors import UnsupportedError
from numapool.machine.topology import NumaTopology
from numapool.metrics.figures import Figures
from numapool.metrics.instruments import INSTRUMENTS, Instrument
from numapool.metrics.locality import Figure
from numapool.pools.pool import BufferPool
from numapool.pressure.monitor import PressureMonitor

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

__all__ = ["instrument"]

_SAME_EXPORT_S = 0.1
_REACTIONS = "pressure_reaction_seconds"


class _Snapshot:
    """All figures of one export: its instruments are called one after the other."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._by_name: dict[str, list[Figure]] = {}
        self._until_s = 0.0

    def of(self, name: str) -> list[Figure]:
        with self._figures.lock:
            # An instrument that is asked again belongs to another export.
            if name not in self._by_name or time.monotonic() > self._until_s:
                found: dict[str, list[Figure]] = {one: [] for one in INSTRUMENTS}
                for figure in self._figures.read():
                    found[figure[0]].append(figure)
                found[_REACTIONS] = self._reactions()
                self._by_name, self._until_s = found, time.monotonic() + _SAME_EXPORT_S
            return self._by_name.pop(name)

    def _reactions(self) -> list[Figure]:
        """Return the histogram's buckets; OpenTelemetry observes no histograms."""
        told = self._figures.reactions()
        return [] if told is None else [(_REACTIONS, (le,), count) for le, count in told.counts]


def instrument(
    meter_provider: MeterProvider | None = None,
    *,
    pools: Iterable[BufferPool] | None = None,
    monitor: PressureMonitor | None = None,
    balloon: BalloonDriver | None = None,
    topology: NumaTopology | None = None,
    locality: bool = True,
) -> None:
    """Make the instruments of OpenTelemetry; each export reads what there is to read then.

    Names are those of Prometheus with the unit beside them: ``numapool.pool_in_use`` in ``By`` is
    ``numapool_pool_in_use_bytes``. Of the reaction times there are the buckets, a counter with the
    attribute ``le``. Call it once for each meter provider.

    Parameters
    ----------
    meter_provider : opentelemetry.metrics.MeterProvider, optional
        By default the global one.
    pools, monitor, balloon, topology, locality
        As for :class:`numapool.MetricsCollector`.

    Raises
    ------
    UnsupportedError
        opentelemetry-api cannot be loaded.
    """
    try:
        from opentelemetry import metrics
    except ImportError as error:
        raise UnsupportedError(
            f"this needs opentelemetry-api, which cannot be loaded ({error}): "
            "pip install 'numapool[otel]'"
        ) from error
    snapshot = _Snapshot(
        Figures(pools=pools, monitor=monitor, balloon=balloon, topology=topology, locality=locality)
    )
    meter = metrics.get_meter("numapool", __version__, meter_provider=meter_provider)
    for name, one in INSTRUMENTS.items():
        counts = one.kind in ("counter", "histogram")
        make = meter.create_observable_counter if counts else meter.create_observable_gauge
        make(
            f"{one.otel_name}_bucket" if one.kind == "histogram" else one.otel_name,
            callbacks=[_callback(snapshot, name, one, metrics.Observation)],
            unit="" if one.kind == "histogram" else one.otel_unit,
            description=one.meaning,
        )


def _callback(
    snapshot: _Snapshot, name: str, one: Instrument, observation: type[Observation]
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    keys = ("le",) if one.kind == "histogram" else one.labels

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        for _name, labels, value in snapshot.of(name):
            attributes: dict[str, Any] = {
                key: label if isinstance(label, int) else str(label)
                for key, label in zip(keys, labels, strict=True)
            }
            yield observation(value, attributes)

    return observe

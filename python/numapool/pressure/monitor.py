"""Watches memory pressure in a native thread, trims pools, and tells subscribers."""

from __future__ import annotations

import atexit
import math
import os
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Literal, Self

from numapool import _core
from numapool.base import arguments
from numapool.base.live_objects import Living
from numapool.base.locks import Rank, new_lock
from numapool.pools.pool import BufferPool
from numapool.pressure.policy import (
    NAMES,
    SOURCES,
    PressureEvent,
    PressureLevel,
    PressurePolicy,
    PressureSource,
    PressureStatistics,
)
from numapool.pressure.reading import PressureReading, reading_of
from numapool.pressure.subscribers import EventStream, Subscription

_monitors: Living[PressureMonitor] = Living()


def _source_bits(sources: Iterable[str]) -> int:
    takes = f"'auto' or an iterable of names out of {', '.join(SOURCES)}"
    if isinstance(sources, str):
        if sources != "auto":
            raise ValueError(arguments.must_be("sources", takes, sources))
        return 0
    bits = 0
    for name in arguments.items("sources", sources, takes):
        bits |= 1 << SOURCES[arguments.choice("each of sources", name, tuple(SOURCES))]
    if bits == 0:
        raise ValueError('sources must name at least one source, or be "auto", not empty')
    return bits


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)


class PressureMonitor:
    """Answers memory pressure from one native thread, without the GIL.

    While it runs it trims the pools attached to it as soon as memory is short, and tells
    subscribers how much they should still release. Use it in a ``with``, or with :meth:`start` and
    :meth:`stop`. After a fork the child's monitor runs anew, with the same pools and handlers.

    Parameters
    ----------
    policy : PressurePolicy, optional
        When there is pressure, and how much is asked for.
    sources : "auto" or iterable of str
        What to watch. "auto": all there is; of stalls, those of the own cgroup come before those
        of the machine. Names: "cgroup-psi", "psi", "cgroup" (limits and memory.events),
        "cgroup-v1" (memory.pressure_level), "systemd" ($MEMORY_PRESSURE_WATCH), "nodes"
        (watermarks), "balloon", "meminfo".

    Raises
    ------
    ValueError
        A source that there is not.
    """

    def __init__(
        self,
        policy: PressurePolicy | None = None,
        sources: Literal["auto"] | Iterable[str] = "auto",
    ) -> None:
        given = arguments.optional_instance("policy", policy, PressurePolicy)
        self._policy = PressurePolicy() if given is None else given
        self._source_bits = _source_bits(sources)
        self._lock = new_lock(Rank.MONITOR)
        self._attached: dict[int, tuple[weakref.ref[BufferPool], int, float]] = {}
        self._subscriptions: set[Subscription] = set()
        self._core = self._make_core()
        _monitors.add(self)

    def _make_core(self) -> _core.Monitor:
        policy = self._policy
        return _core.Monitor(
            window_us=_microseconds(policy.window_s),
            moderate_us=_microseconds(policy.moderate_stall_s),
            critical_us=_microseconds(policy.critical_stall_s),
            margin_bytes=policy.margin_bytes,
            cgroup_margin_bytes=policy.cgroup_margin_bytes,
            node_margin_bytes=policy.node_margin_bytes,
            critical_share=policy.critical_share,
            hysteresis=policy.hysteresis,
            step_bytes=policy.step_bytes,
            cooldown_ms=math.ceil(policy.cooldown_s * 1000),
            relief_ms=math.ceil(policy.relief_s * 1000),
            poll_ms=math.ceil(policy.poll_s * 1000),
            sources=self._source_bits,
            service_watch=os.fsencode(os.environ.get("MEMORY_PRESSURE_WATCH", "")),
            service_write=os.fsencode(os.environ.get("MEMORY_PRESSURE_WRITE", "")),
        )

    @property
    def policy(self) -> PressurePolicy:
        """When there is pressure, and how much is asked for."""
        return self._policy

    @property
    def running(self) -> bool:
        """Whether the native thread runs."""
        return self._core.running

    @property
    def level(self) -> PressureLevel:
        """How short memory is now; NONE while the monitor does not run."""
        return PressureLevel(self._core.level)

    @property
    def sources(self) -> tuple[PressureSource, ...]:
        """The sources: how each is watched, or why it is not; empty before the first start."""
        return tuple(
            PressureSource(
                name=NAMES[one.source],
                active=one.active,
                wakes=one.wakes,
                path=one.path,
                detail=one.detail,
            )
            for one in self._core.sources()
        )

    def start(self) -> Self:
        """Begin to watch; while it runs, do nothing.

        Raises
        ------
        UnsupportedError
            Nothing tells of memory pressure on this system.
        OSError
            The system refused a descriptor or a thread.
        """
        with self._lock:
            self._core.start()
        return self

    def stop(self) -> None:
        """End the native thread, and wait for it, which takes no longer than a trim. Idempotent.

        Subscriptions stay, and are served again after another :meth:`start`. A handler that runs
        goes on; this may be called from a handler.
        """
        self._core.stop()

    def close(self) -> None:
        """Stop, and end all subscriptions. Idempotent."""
        self.stop()
        for subscription in tuple(self._subscriptions):
            subscription.cancel()

    def attach(
        self, pool: BufferPool, floor_bytes: arguments.SizeLike = 0, weight: float = 1.0
    ) -> None:
        """Trim `pool` when memory is short. Live buffers are never touched.

        Parameters
        ----------
        pool : BufferPool
            It may be closed or dropped while attached.
        floor_bytes : int or str
            What always stays retained.
        weight : float
            Its share of the demand, beside the weights of other pools; what one pool cannot give,
            others do.

        Raises
        ------
        ValueError
            A negative floor, a weight that is not positive; the pool is closed.
        """
        arguments.instance("pool", pool, BufferPool)
        floor = arguments.size_at_least("floor_bytes", floor_bytes, 0)
        share = arguments.real("weight", weight, "a number")
        if not (math.isfinite(share) and share > 0):
            raise ValueError(arguments.must_be("weight", "positive and finite", weight))
        if pool.closed:
            raise ValueError("the pool is closed")
        with self._lock:
            self._core.attach(pool, min(floor, 2**63), share)
            self._attached[id(pool)] = (weakref.ref(pool), floor, share)

    def detach(self, pool: BufferPool) -> None:
        """Leave `pool` alone from here on: once this returns, no trim touches it.

        Raises
        ------
        ValueError
            It is not attached.
        """
        arguments.instance("pool", pool, BufferPool)
        with self._lock:
            self._attached.pop(id(pool), None)
            if not self._core.detach(pool) and not pool.closed:
                raise ValueError("the pool is not attached to this monitor")

    def subscribe(self, handler: Callable[[PressureEvent], object]) -> Subscription:
        """Call `handler` with every event from now on, on a Python thread of its own."""
        arguments.function("handler", handler)
        with self._lock:
            subscription = Subscription(
                self._core.subscribe(), handler, self._subscriptions.discard
            )
            self._subscriptions.add(subscription)
        return subscription

    def log_events(self) -> Subscription:
        """Tell the logger ``numapool.pressure`` of every event from now on.

        CRITICAL pressure is an error, MODERATE pressure a warning, relief an information; further
        events at the same level are for debugging. Each record has the event in its attribute
        ``pressure_event``. Costs a Python thread, as every subscription.

        Returns
        -------
        Subscription
            ``cancel()`` it, or use it in a ``with``.
        """
        from numapool.pressure.log import PressureLog

        return self.subscribe(PressureLog())

    def _rehearse(self, level: PressureLevel, demand_bytes: int, node_id: int | None) -> bool:
        """Have the native thread trim and tell without any pressure; False if it does not run."""
        return self._core.rehearse(_core.PressureLevel(level), demand_bytes, node_id)

    def events(self) -> EventStream:
        """Return an asynchronous iterator over the events from now on."""
        return EventStream(self._core.subscribe())

    def reading(self) -> PressureReading | None:
        """Return what the monitor saw last, up to a second ago; None before its first look."""
        return reading_of(self._core.last_look())

    def statistics(self) -> PressureStatistics:
        """Return counts of events, trims and reactions; cheap enough to read every second."""
        seen = self._core.statistics()
        limits = [limit_ms / 1000 for limit_ms in seen.reaction_bounds_ms] + [math.inf]
        return PressureStatistics(
            events_by_source={
                NAMES[source]: count for source, count in seen.events_by_source.items() if count
            },
            trimmed_bytes=seen.trimmed_bytes,
            reactions_by_limit_s=dict(zip(limits, seen.reactions, strict=True)),
            reaction_sum_s=seen.reaction_sum_us / 1e6,
            looks=seen.looks,
            dropped_events=seen.dropped_events,
        )

    def _run_anew(self) -> None:
        """In the child of a fork: it has no such thread, and shares the parent's descriptors."""
        was_running = self._core.abandon()
        self._core = self._make_core()
        for reference, floor, weight in tuple(self._attached.values()):
            pool = reference()
            if pool is not None and not pool.closed:
                self._core.attach(pool, min(floor, 2**63), weight)
        for subscription in tuple(self._subscriptions):
            subscription._start(self._core.subscribe())
        if was_running:
            self._core.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if not self.running:
            return "<PressureMonitor, not running>"
        active = ", ".join(source.name for source in self.sources if source.active)
        return f"<PressureMonitor, level {self.level.name}, watching {active or 'nothing'}>"


def monitors_of_this_process() -> list[PressureMonitor]:
    """Return the monitors that are alive, running or not."""
    return _monitors.all()


def _after_fork_in_child() -> None:
    for monitor in _monitors.all():
        monitor._run_anew()


@atexit.register
def _stop_all() -> None:
    for monitor in _monitors.all():
        monitor.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

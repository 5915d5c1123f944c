"""The balloon by which a host takes memory back, and what it gets of what is released."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from numapool import _core
from numapool.balloon.report import (
    REPORTING_DELAY_S,
    BalloonState,
    Mechanism,
    ReleaseReport,
    in_words,
    returned_of,
    would_help,
)
from numapool.balloon.resident_memory import ResidencyAccount
from numapool.base import arguments, renamed
from numapool.base.errors import UnsupportedError
from numapool.base.locks import Rank, cached_property, new_lock
from numapool.base.units import size_text
from numapool.machine.hypervisor import HypervisorInfo, detect_hypervisor, root_path

if TYPE_CHECKING:
    from numapool.pressure.monitor import PressureMonitor
    from numapool.pressure.policy import PressureEvent
    from numapool.pressure.subscribers import Subscription

#: The modules that take a device, by the driver's kind.
_MODULES = {"virtio": "virtio_balloon", "hyperv": "hv_balloon"}


class Monitor(Protocol):
    """What is needed of a :class:`PressureMonitor`."""

    def subscribe(self, handler: Callable[[PressureEvent], object]) -> Subscription:
        """Call `handler` with every event from now on."""
        ...


class BalloonDriver:
    """The balloon device of this system, if it has one.

    It can be made anywhere: on bare metal :attr:`available` is False, :attr:`reason` says why,
    and handlers are called all the same, from the other sources of pressure. Safe to use from many
    threads.

    Parameters
    ----------
    root : str or path-like
        Another machine's ``/sys`` and ``/proc``.

    Raises
    ------
    OSError
        The folder does not exist.
    """

    def __init__(self, *, root: arguments.PathLike = "/") -> None:
        self._root = root_path(root)
        self._lock = new_lock(Rank.BALLOON)
        self._monitor: PressureMonitor | None = None
        self._closed = False
        self._account = ResidencyAccount()
        self._read()

    def _read(self) -> _core.Balloon | None:
        """Look at the device; None where this system has no way to."""
        try:
            return _core.read_balloon(self._root)
        except UnsupportedError:
            return None

    @property
    def available(self) -> bool:
        """Whether there is a balloon device and its driver is at work, now."""
        found = self._read()
        return found is not None and found.at_work

    is_available = renamed.attribute("BalloonDriver", "is_available", "available")

    @property
    def driver(self) -> str | None:
        """The driver's kind, "virtio", "vmware", "hyperv" or "xen"; None without a device."""
        found = self._read()
        return found and found.driver

    @property
    def features(self) -> tuple[str, ...]:
        """What device and driver agreed on, see :attr:`BalloonState.features`."""
        found = self._read()
        return () if found is None else found.features

    @cached_property
    def hypervisor(self) -> HypervisorInfo:
        """The hypervisor under this system, found by other means than the balloon.

        Raises
        ------
        UnsupportedError
            Neither the processor nor the system has a way to tell.
        """
        return detect_hypervisor(os.fsdecode(self._root))

    @property
    def reason(self) -> str | None:
        """Why there is no balloon at work, and what to do; None where there is one."""
        found = self._read()
        if found is None:
            return "balloon devices are looked for on Linux alone"
        if found.at_work:
            return None
        if found.driver is not None:
            return (
                f"the {found.driver} balloon at {found.place} has no driver: load one with "
                f"'modprobe {_MODULES[found.driver]}'"
            )
        kind = self.hypervisor.kind
        if kind is None:
            return "there is no balloon device, and no hypervisor was found: this is bare metal"
        remedy = " or its driver is not loaded ('modprobe vmw_balloon')" if kind == "vmware" else ""
        return f"the host offers no balloon device{remedy}; hypervisor: {kind}"

    def state(self) -> BalloonState:
        """Look at the balloon now; costs some 0.2 ms."""
        self._account.look()
        found = self._read()
        if found is None:
            return BalloonState(
                driver=None,
                inflated_bytes=None,
                target_bytes=None,
                features=(),
                reports_free_pages=False,
                deflates_on_oom=None,
                source=None,
            )
        tells = found.driver == "virtio"
        return BalloonState(
            driver=found.driver,
            inflated_bytes=found.inflated_bytes,
            target_bytes=found.target_bytes,
            features=found.features,
            reports_free_pages=found.reports_free_pages,
            deflates_on_oom="DEFLATE_ON_OOM" in found.features if tells else None,
            source=found.source,
        )

    def subscribe(
        self, handler: Callable[[int], object], *, monitor: Monitor | None = None
    ) -> Subscription:
        """Call `handler` with the bytes to release, whenever that is more than none.

        It is called on a thread of its own, as :meth:`PressureMonitor.subscribe` has it. Growth of
        the balloon is one reason among others: there is one monitor for them all.

        Parameters
        ----------
        handler : callable
            Takes the number of bytes that are asked of it.
        monitor : PressureMonitor, optional
            Whose events to pass on; start it yourself. Without it the driver starts one of its
            own, which runs until :meth:`close`.

        Returns
        -------
        Subscription
            ``cancel()`` it, or use it in a ``with``.

        Raises
        ------
        UnsupportedError
            Nothing tells of memory pressure on this system.
        ValueError
            The driver was closed, and no monitor is given.
        """
        arguments.function("handler", handler)
        if monitor is not None and not callable(getattr(monitor, "subscribe", None)):
            raise TypeError(arguments.must_be("monitor", "a PressureMonitor or None", monitor))

        @functools.wraps(handler)
        def answer(event: PressureEvent) -> None:
            if event.bytes_to_release > 0:
                self._account.look()  # what the handler frees shows against this
                handler(event.bytes_to_release)

        return (self._own_monitor() if monitor is None else monitor).subscribe(answer)

    register_pressure_handler = renamed.attribute(
        "BalloonDriver", "register_pressure_handler", "subscribe"
    )

    def _own_monitor(self) -> PressureMonitor:
        from numapool.pressure.monitor import PressureMonitor  # only handlers need it

        with self._lock:
            if self._closed:
                raise ValueError("the balloon driver is closed")
            if self._monitor is None:
                self._monitor = PressureMonitor().start()
            return self._monitor

    @renamed.parameters(nbytes="size_bytes")
    def report_memory_released(
        self, size_bytes: arguments.SizeLike, *, compact: bool = False
    ) -> ReleaseReport:
        """Say what became of memory that was just released: who has it now, and when the host will.

        The C library's heap is asked to give free pages back first (malloc_trim, glibc alone),
        which holds its locks for as long as it takes. What was returned is then told from this
        process's resident memory, against the most it was seen with since the last report: by
        this driver when it was made, in :meth:`state`, and before each call of a handler, or by
        the kernel as a new peak. Memory that came and went unseen in between is not counted; call
        :meth:`state` before the release where that matters.

        Parameters
        ----------
        size_bytes : int or str
            What was released: in bytes, or with a unit.
        compact : bool
            Have the kernel compact all memory, so that more of what is free is in blocks that are
            reported. Costs CPU time of up to seconds, and the privilege of root.

        Raises
        ------
        ValueError
            A negative size.
        PermissionError
            ``compact=True`` without the privilege. Nothing else was changed.
        UnsupportedError
            ``compact=True`` on a kernel that cannot.
        """
        released = arguments.size_at_least("size_bytes", size_bytes, 0)
        arguments.flag("compact", compact)
        before_trim = self._account.look()
        has_call = _core.trim_heap()
        after_trim = self._account.look()
        before = self._free_blocks()
        if compact:
            _core.compact_memory(self._root)
        blocks = self._free_blocks() if compact else before
        returned, evidence = returned_of(released, self._account.settle(), has_call)
        found = self._read()
        mechanism: Mechanism | None = None
        if found is not None and found.at_work:
            mechanism = "free-page-reporting" if found.reports_free_pages else "balloon"
        return ReleaseReport(
            released_bytes=released,
            returned_bytes=returned,
            heap_trimmed_bytes=max(0, (before_trim or 0) - (after_trim or 0)),
            evidence=evidence,
            mechanism=mechanism,
            host_delay_s=REPORTING_DELAY_S if mechanism == "free-page-reporting" else None,
            host_sees=in_words(mechanism, found and found.driver, blocks, self.reason),
            page_order=blocks and blocks.order,
            block_bytes=blocks and blocks.block_bytes,
            reportable_free_bytes=blocks and blocks.reportable_bytes,
            fragmented_free_bytes=blocks and blocks.fragmented_bytes,
            compaction_would_help=would_help(released, mechanism, blocks),
            compacted=compact,
            compaction_gain_bytes=(
                max(0, blocks.reportable_bytes - before.reportable_bytes)
                if blocks is not None and before is not None
                else 0
            ),
        )

    def _free_blocks(self) -> _core.FreeBlocks | None:
        try:
            return _core.free_blocks(self._root)
        except OSError:
            return None

    def close(self) -> None:
        """Stop the driver's own monitor, and end the handlers registered with it. Idempotent."""
        with self._lock:
            monitor, self._monitor, self._closed = self._monitor, None, True
        if monitor is not None:
            monitor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = self.state()
        if not self.available:
            return f"<BalloonDriver, not available: {self.reason}>"
        size = "unknown size" if state.inflated_bytes is None else size_text(state.inflated_bytes)
        return f"<BalloonDriver {state.driver}, {size} inflated>"

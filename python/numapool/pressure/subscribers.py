"""Those who are told of memory pressure: handlers on threads of their own, and async iterators."""

from __future__ import annotations

import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from numapool import _core
from numapool.base.arrivals import LOOK_S, Arrivals
from numapool.pressure.policy import PressureEvent, event_of


def _waiter(queue: _core.EventQueue) -> Callable[[], object]:
    """Return what waits in Python, never in the core: so the interpreter can end such a thread."""
    descriptor = queue.fileno()
    if descriptor < 0:
        return lambda: time.sleep(LOOK_S)
    # On Windows the descriptor is a socket's.
    if sys.platform == "win32" or not hasattr(select, "poll"):
        return lambda: select.select([descriptor], (), ())
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return poll.poll


def _run(queue: _core.EventQueue, handler: Callable[[PressureEvent], object]) -> None:
    wait = _waiter(queue)
    while not queue.closed:
        wait()
        for event in queue.take():
            if queue.closed:
                return
            try:
                handler(event_of(event))
            except BaseException as error:  # its exceptions do not reach others
                _core.write_unraisable(error, handler)


class Subscription:
    """A handler that is called with every event, on a Python thread of its own.

    A handler that raises is reported through :data:`sys.unraisablehook` and stays subscribed; one
    that blocks delays only itself. Leaving a ``with`` cancels.
    """

    def __init__(
        self,
        queue: _core.EventQueue,
        handler: Callable[[PressureEvent], object],
        forget: Callable[[Subscription], None],
    ) -> None:
        self._handler = handler
        self._forget = forget
        self._start(queue)

    def _start(self, queue: _core.EventQueue) -> None:
        self._queue = queue
        self._thread = threading.Thread(
            target=_run, args=(queue, self._handler), name="numapool pressure handler", daemon=True
        )
        self._thread.start()

    @property
    def active(self) -> bool:
        """Whether the handler is called for events to come."""
        return not self._queue.closed

    def cancel(self) -> None:
        """End the subscription: no call begins after this; one that runs goes on. Idempotent."""
        self._queue.close()
        self._forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cancel()

    def __repr__(self) -> str:
        state = "active" if self.active else "cancelled"
        return f"<Subscription of {self._handler!r}, {state}>"


class EventStream:
    """An asynchronous iterator over events, from when it was made.

    Ends when the monitor is closed. Use it in one event loop.
    """

    def __init__(self, queue: _core.EventQueue) -> None:
        self._queue = queue
        self._arrivals = Arrivals(queue.fileno)
        self._pending: deque[PressureEvent] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PressureEvent:
        while not self._pending:
            if self._queue.closed:
                raise StopAsyncIteration
            await self._arrivals.wait()
            self._pending.extend(map(event_of, self._queue.take()))
        return self._pending.popleft()

    async def aclose(self) -> None:
        """End the stream. Idempotent."""
        self._queue.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._queue.close()

"""Tasks of event loops that wait until a descriptor of the core is readable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

#: Seconds between looks where a descriptor cannot be waited for: there was none left, or the event
#: loop takes none (Windows' own, whose timers tick 64 times a second anyway).
LOOK_S = 0.02


class Arrivals:
    """Wakes the tasks that wait, in any number of loops, whenever the descriptor is readable.

    Parameters
    ----------
    fileno : callable
        Returns the descriptor, or -1 where there is none.
    """

    def __init__(self, fileno: Callable[[], int]) -> None:
        self._fileno = fileno
        self._waiting: dict[asyncio.AbstractEventLoop, set[asyncio.Future[None]]] = {}

    async def wait(self, timeout_s: float | None = None) -> None:
        """Wait until there may be something, for so long at most."""
        import asyncio  # no user of buffers alone should wait for it

        loop = asyncio.get_running_loop()
        descriptor = self._fileno()
        waiting = self._waiting.setdefault(loop, set())
        if not waiting:
            try:
                if descriptor >= 0:
                    loop.add_reader(descriptor, self._wake, loop)
            except NotImplementedError:
                descriptor = -1
        future = loop.create_future()
        waiting.add(future)
        try:
            polled = LOOK_S if descriptor < 0 else None
            limits = [one for one in (polled, timeout_s) if one is not None]
            await asyncio.wait((future,), timeout=min(limits, default=None))
        finally:
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(loop, None)
                if descriptor >= 0:
                    loop.remove_reader(descriptor)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        for future in self._waiting.get(loop, ()):
            if not future.done():
                future.set_result(None)

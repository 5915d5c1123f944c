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
        self._loops: dict[asyncio.AbstractEventLoop, _Waiting] = {}

    async def wait(self, timeout_s: float | None = None) -> None:
        """Wait until there may be something, for so long at most."""
        import asyncio  # no user of buffers alone should wait for it

        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            here = self._loops[loop] = _Waiting(self._listen(loop))
        future = loop.create_future()
        here.futures.add(future)
        try:
            limits = [LOOK_S] if here.descriptor is None else []
            if timeout_s is not None:
                limits.append(timeout_s)
            await asyncio.wait((future,), timeout=min(limits, default=None))
        finally:
            here.futures.discard(future)
            if not here.futures:
                self._loops.pop(loop, None)
                if here.descriptor is not None:
                    loop.remove_reader(here.descriptor)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> int | None:
        """Have the loop watch the descriptor, and return it; None if it cannot be watched."""
        descriptor = self._fileno()
        if descriptor < 0:
            return None
        try:
            loop.add_reader(descriptor, self._wake, loop)
        except NotImplementedError:
            return None
        return descriptor

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        here = self._loops.get(loop)
        for future in () if here is None else here.futures:
            if not future.done():
                future.set_result(None)


class _Waiting:
    """The tasks of one loop that wait, and the descriptor that it watches for them, if any."""

    def __init__(self, descriptor: int | None) -> None:
        self.descriptor = descriptor
        self.futures: set[asyncio.Future[None]] = set()

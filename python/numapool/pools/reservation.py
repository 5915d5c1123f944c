"""Filling a pool in the background: progress, waiting, cancelling."""

from __future__ import annotations

import atexit
import contextlib
import math
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Self, final

from numapool import _core
from numapool.base import arguments
from numapool.base.arrivals import LOOK_S
from numapool.base.errors import PoolExhaustedError
from numapool.base.units import size_text

_MAX_WAIT_S = 1e15
#: How long a program that ends waits for threads that populate memory. Each looks every 50 ms
#: whether it is to end, unless the system holds it up.
_END_S = 5.0

#: All that may have a thread still, so that it ends before the interpreter does. A dictionary, of
#: which each step is one operation: reservations are started by any thread.
_running: dict[int, _core.Reservation] = {}


@final
class Reservation:
    """Blocks that are being added to a pool in the background.

    Made by :meth:`BufferPool.reserve` with ``background=True``. A native thread on the node's CPUs
    does the work, and the program goes on. It does not need the GIL. Reservations of several nodes
    run at the same time. Dropping this object does not end the reservation.

    It ends when all blocks are there, at :meth:`cancel`, when the pool is closed, when a block
    cannot be added, and when the pressure monitor trims the pool. What was added stays in the pool.
    In the child of a fork it is over. A program that ends cancels what is running.

    As a context manager, it waits for the end when the ``with`` block is left. If an exception
    leaves the block, it is cancelled. In an asyncio task, ``await`` does what :meth:`wait` does.
    """

    __slots__ = ("_count", "_handle", "_name", "_size_bytes", "_tell_exhausted")

    _size_bytes: int
    _count: int
    _name: str
    _tell_exhausted: Callable[[PoolExhaustedError], None]
    _handle: _core.Reservation

    def __init__(self) -> None:
        raise TypeError("a Reservation is made by BufferPool.reserve(..., background=True)")

    @classmethod
    def _start(
        cls,
        pool: _core.PoolBase,
        name: str,
        size_bytes: int,
        count: int,
        nodes: list[int],
        tell_exhausted: Callable[[PoolExhaustedError], None],
    ) -> Self:
        self = cls.__new__(cls)
        self._size_bytes, self._count, self._name = size_bytes, count, name
        self._tell_exhausted = tell_exhausted
        self._handle = _core.pool_reserve_in_background(pool, size_bytes, count, nodes)
        for key, one in list(_running.items()):
            if one.over:
                _running.pop(key, None)
        _running[id(self._handle)] = self._handle
        return self

    @property
    def size_bytes(self) -> int:
        """Size of each block, as it was asked for."""
        return self._size_bytes

    @property
    def count(self) -> int:
        """How many blocks were asked for."""
        return self._count

    @property
    def asked_bytes(self) -> int:
        """`count` times `size_bytes`."""
        return self._count * self._size_bytes

    @property
    def done_bytes(self) -> int:
        """The part of `asked_bytes` that is populated by now.

        Blocks that were lent or trimmed since count, too. At the end, only whole blocks count.
        """
        return self._handle.done_bytes

    @property
    def progress(self) -> tuple[int, int]:
        """(`done_bytes`, `asked_bytes`)."""
        return self.done_bytes, self.asked_bytes

    @property
    def done(self) -> bool:
        """Whether it is over, however it ended."""
        return self._handle.over

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel`, or a fork, ended it before all blocks were added."""
        return self._handle.cancelled

    def cancel(self) -> None:
        """Add no more blocks. It is over within about 50 ms; :meth:`wait` tells when."""
        self._handle.cancel()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait until it is over.

        Parameters
        ----------
        timeout_s : float, optional
            How long to wait at most, in seconds; by default, as long as it takes.

        Returns
        -------
        int
            How many blocks were added: at least `count`, or fewer if it was cancelled.

        Raises
        ------
        TimeoutError
            It is not over yet. It goes on.
        ValueError
            The pool was closed meanwhile; a negative timeout.
        PoolExhaustedError
            The pool came to max_bytes.
        MemoryError
            The system has no more memory, or the pressure monitor trimmed the pool.
        """
        most_ms = None
        if timeout_s is not None:
            seconds = arguments.wait("timeout_s", timeout_s)
            most_ms = math.ceil(min(seconds, _MAX_WAIT_S) * 1000)
        try:
            over = self._handle.wait(most_ms)
        except PoolExhaustedError as error:
            self._tell_exhausted(error)
            raise
        if not over:
            raise TimeoutError(
                f"the reservation is not over after {timeout_s:g} s: {size_text(self.done_bytes)} "
                f"of {size_text(self.asked_bytes)} were added"
            )
        return self._handle.added

    async def _wait_in_loop(self) -> int:
        import asyncio  # which takes long, and is loaded where there is a loop

        while not self._handle.over:
            await asyncio.sleep(LOOK_S)
        return self.wait()

    def __await__(self) -> Generator[Any, None, int]:
        return self._wait_in_loop().__await__()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self.wait()
            return
        self.cancel()
        with contextlib.suppress(Exception):  # the one that leaves the block is told
            self.wait()

    def __repr__(self) -> str:
        if not self.done:
            state = "running"
        elif self.cancelled:
            state = "cancelled"
        else:
            state = "done" if self._handle.added >= self._count else "failed"
        done, asked = map(size_text, self.progress)
        return f"<Reservation {self._name}: {done} of {asked}, {state}>"


@atexit.register
def _end_all() -> None:
    for one in list(_running.values()):
        one.cancel()
    end = time.monotonic() + _END_S
    for one in list(_running.values()):
        with contextlib.suppress(Exception):
            one.wait(max(0, round((end - time.monotonic()) * 1000)))
    _running.clear()

"""Tasks of an event loop that wait for a pool's memory, without a thread for each of them."""

from __future__ import annotations

import itertools
import os
import weakref
from typing import TYPE_CHECKING

from numapool import _core
from numapool.base.arrivals import LOOK_S

if TYPE_CHECKING:
    import asyncio

NodeBuffer = _core.NodeBuffer

_keys = itertools.count()
#: By event loop. A loop is used by one thread at a time, and so is its box.
_boxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Box] = weakref.WeakKeyDictionary()


class _Box:
    """Where a loop finds what the requests of its tasks came to."""

    def __init__(self) -> None:
        self._core = _core.TurnBox()
        self._waiting: dict[int, asyncio.Future[NodeBuffer]] = {}
        self._polls = False

    async def acquire(
        self,
        loop: asyncio.AbstractEventLoop,
        pool: _core.PoolBase,
        size_bytes: int,
        nodes: list[int],
        strict: bool,
    ) -> NodeBuffer:
        key = next(_keys)
        turn = _core.line_join(pool, self._core, key, size_bytes, nodes, strict)
        if isinstance(turn, NodeBuffer):
            return turn
        future: asyncio.Future[NodeBuffer] = loop.create_future()
        if not self._waiting:
            self._listen(loop)
        self._waiting[key] = future
        try:
            return await future
        except BaseException:
            if self._waiting.pop(key, None) is not None:
                self._listen_no_more(loop)
                _core.line_leave(pool, turn)
            elif future.done() and not future.cancelled() and future.exception() is None:
                future.result().close()  # it came as the task was cancelled
            raise

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        descriptor = self._core.fileno()
        if descriptor >= 0:
            try:
                loop.add_reader(descriptor, self._look, loop)
                return
            except NotImplementedError:
                pass
        if not self._polls:
            self._polls = True
            loop.call_later(LOOK_S, self._poll, loop)

    def _listen_no_more(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._waiting and not self._polls and not loop.is_closed():
            loop.remove_reader(self._core.fileno())

    def _poll(self, loop: asyncio.AbstractEventLoop) -> None:
        self._look(loop)
        self._polls = bool(self._waiting)
        if self._polls:
            loop.call_later(LOOK_S, self._poll, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        for turn in self._core.take():
            future, outcome = self._waiting.pop(turn.key, None), turn.value
            if future is None or future.done():
                if isinstance(outcome, NodeBuffer):
                    outcome.close()
            elif isinstance(outcome, NodeBuffer):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)
        self._listen_no_more(loop)

    def end(self) -> None:
        """In the child of a fork: no turn comes, for the lines are the parent's."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(
                    ValueError("this waited for memory in the process that was forked; ask again")
                )
        self._waiting.clear()


async def acquire_in_line(
    pool: _core.PoolBase, size_bytes: int, nodes: list[int], strict: bool
) -> NodeBuffer:
    """Wait in the pool's line; see :meth:`BufferPool.acquire_async`."""
    import asyncio

    loop = asyncio.get_running_loop()
    box = _boxes.get(loop)
    if box is None:
        box = _boxes[loop] = _Box()
    return await box.acquire(loop, pool, size_bytes, nodes, strict)


def _after_fork_in_child() -> None:
    ended = list(_boxes.values())
    _boxes.clear()
    for box in ended:
        box.end()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork_in_child)

"""What each thread has to put back when it leaves the ``with`` blocks that it is in."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class OpenBlocks(Generic[T]):
    """The open blocks of an object that several threads may enter, each several times.

    No lock guards it: a thread touches its own list alone.
    """

    def __init__(self) -> None:
        self._by_thread: dict[int, list[T]] = {}

    def enter(self, how_to_leave: T) -> None:
        """Keep how the calling thread leaves a block that it has just entered."""
        self._by_thread.setdefault(threading.get_ident(), []).append(how_to_leave)

    def leave(self, what: str) -> T:
        """Return how the calling thread leaves the last block that it entered.

        Raises
        ------
        RuntimeError
            It is in none; `what` names the block in the message.
        """
        thread = threading.get_ident()
        blocks = self._by_thread.get(thread)
        if not blocks:
            raise RuntimeError(f"{what} must be left in the thread that entered it")
        last = blocks.pop()
        if not blocks:
            del self._by_thread[thread]
        return last

"""A ring of equal blocks for storage engines and data loaders: no allocation once it is made."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Self

from numapool import _core
from numapool.base import arguments

_MAX_COUNT = 2**32 - 1
_FOR_EVER_MS = 2**63


class BufferRing:
    """Lends blocks in turn and takes them back; made by :meth:`BufferPool.ring`.

    All blocks are resident from the start, lie one after the other and begin at a page each, as
    direct I/O wants it (open(2), O_DIRECT; give a multiple of the device's block as size).
    :meth:`acquire` lends the block whose turn it is: a ring does not skip one that is still out, so
    close buffers in the order they were acquired. Contents stay from one use to the next.

    Safe to use from many threads. Closing it leaves buffers that are out valid.
    """

    __slots__ = ("__weakref__", "_block_bytes", "_core", "_count")

    def __init__(
        self, pool: _core.PoolBase, block_bytes: int, count: int, nodes: list[int], *, strict: bool
    ) -> None:
        if not 1 <= count <= _MAX_COUNT:
            raise ValueError(arguments.must_be("count", f"from 1 to {_MAX_COUNT}", count))
        arguments.flag("strict", strict)
        self._block_bytes = block_bytes
        self._count = count
        self._core = _core.ring_open(pool, block_bytes, count, nodes, strict)

    def acquire(self, *, block: bool = False, timeout_s: float | None = None) -> _core.NodeBuffer:
        """Lend the next block in turn.

        Parameters
        ----------
        block : bool
            Wait while that block is still in use.
        timeout_s : float, optional
            Wait for so many seconds at most.

        Raises
        ------
        PoolExhaustedError
            The next block is still in use.
        ValueError
            The ring is closed; a timeout without `block`, or a negative one.
        """
        waits = arguments.flag("block", block)
        if timeout_s is None:
            return self._core.acquire(_FOR_EVER_MS if waits else None)
        seconds = arguments.wait("timeout_s", timeout_s)
        if not waits:
            raise ValueError(f"timeout_s must be None without block=True, not {timeout_s}")
        return self._core.acquire(min(math.ceil(min(seconds, 1e15) * 1000), _FOR_EVER_MS))

    @property
    def block_bytes(self) -> int:
        """Size of each block in bytes."""
        return self._block_bytes

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return self._count

    @property
    def in_use(self) -> int:
        """How many blocks are out."""
        return self._core.lent()

    @property
    def node_id(self) -> int | None:
        """The node that holds most of the ring; None where it is not known."""
        return self._core.node_id()

    @property
    def stride_bytes(self) -> int:
        """From the beginning of one block to that of the next, in bytes."""
        return self._core.stride_bytes()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._core.closed()

    def close(self) -> None:
        """Lend no more; the memory goes back with the last buffer. Twice is allowed."""
        self._core.close()

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.in_use} in use"
        where = "" if self.node_id is None else f" on node {self.node_id}"
        return f"<BufferRing: {self._count} x {self._block_bytes} bytes{where}, {state}>"

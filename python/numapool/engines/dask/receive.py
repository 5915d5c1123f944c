"""Memory into which a Dask worker receives data: from a pool, on the worker's node."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from numapool.base.warn_once import warn_once
from numapool.machine.node_set import NodesLike
from numapool.pools.pool import BufferPool

#: Where Dask makes the memory that a message's frames are read into, and that parts of one frame
#: are joined in. Both names are private to Dask, and the same function.
_PLACES = ("distributed.comm.tcp", "distributed.protocol.utils")
_NAME = "host_array"


class ReceiveBuffers:
    """Has Dask receive into blocks of a pool, from :meth:`install` to :meth:`remove`.

    A block goes back to the pool with the last array in it. There is one of these at a time in a
    process: the one that was installed last.

    Parameters
    ----------
    pool : BufferPool
        Where blocks come from.
    node : NodesLike or None
        The node, or several; None for that of the thread that receives.
    least_bytes : int
        Smaller data is received as without this.
    """

    def __init__(self, pool: BufferPool, node: NodesLike | None, least_bytes: int) -> None:
        self._pool = pool
        self._node = node
        self._least_bytes = least_bytes
        self._plain: Callable[[int], memoryview] = _plain

    def install(self) -> bool:
        """Take the place of Dask's function; False, with one warning, if it is not there."""
        try:
            modules = [importlib.import_module(place) for place in _PLACES]
            found = [getattr(module, _NAME) for module in modules]
        except (ImportError, AttributeError) as error:
            warn_once(
                "dask's receive buffers",
                f"this version of Dask has no place for receive buffers ({error}): workers receive "
                "into memory of the system, which is on their node by first touch only",
            )
            return False
        self._plain = _behind(found[0])
        for module in modules:
            setattr(module, _NAME, self)
        return True

    def remove(self) -> None:
        """Give Dask its own function back, where this is still in its place."""
        for place in _PLACES:
            module: ModuleType | None = importlib.import_module(place)
            if getattr(module, _NAME, None) is self:
                setattr(module, _NAME, self._plain)

    def __call__(self, n: int) -> memoryview:
        """Return memory of `n` bytes, whose content is not set."""
        if n >= self._least_bytes:
            try:
                return memoryview(self._pool.acquire(n, self._node))
            except (MemoryError, OSError, ValueError):  # none left, or the pool was closed
                pass
        return self._plain(n)


def _behind(function: Any) -> Callable[[int], memoryview]:
    """Return Dask's own function, where another of these is in its place."""
    plain: Callable[[int], memoryview]
    plain = function._plain if isinstance(function, ReceiveBuffers) else function
    return plain


def _plain(n: int) -> memoryview:
    return memoryview(bytearray(n))

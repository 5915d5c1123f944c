"""NumPy's own arrays on a node: a memory handler for the current context (NEP 49)."""

from __future__ import annotations

from contextvars import ContextVar
from types import TracebackType
from typing import Self

from numapool import _core
from numapool.base import arguments
from numapool.base.units import ids_text
from numapool.machine.node_set import NodesLike, wanted_of
from numapool.pools.default_pool import default_pool
from numapool.pools.pool import BufferPool

_entered: ContextVar[tuple[object, ...]] = ContextVar("numapool_numpy_allocators", default=())


class numpy_allocator:
    """Put every NumPy array that is made in a ``with`` block on a node.

    Arrays of 64 KiB and more, temporaries of expressions included, take their memory from a pool,
    smaller ones from NumPy's own allocator. It holds for the current context
    (:mod:`contextvars`), as NumPy's memory handlers do (NEP 49): other threads and other asyncio
    tasks are not concerned, tasks started inside are. Blocks may be nested. An array keeps its
    memory when the block has ended, and may be resized and freed anywhere.

    Memory that NumPy asks for is uninitialized: in a pool without ``zero_on_reuse`` it holds what
    an earlier array of the same pool left there.

    Parameters
    ----------
    node : NodesLike, optional
        The node; by default that of the thread that makes the array. Of several nodes, any of
        them, the nearest to that thread first.
    pool : BufferPool, optional
        Where large arrays take their memory from; by default :func:`default_pool`, which gives
        memory back to the system that no array used for 10 s. Once it is closed, NumPy's own
        allocator serves everything; at its ``max_bytes`` arrays raise MemoryError.
    strict : bool
        An array that cannot be on the node, or those nodes, raises MemoryError, instead of going
        to the nearest.

    Raises
    ------
    ImportError
        NumPy is missing, or its handlers are of a version that is not known.
    NodeNotFoundError
        The machine has no such node.
    PlacementError, UnsupportedError
        ``strict`` only: the node cannot hold an array at all, or the system refuses mbind(2).
    PoolExhaustedError, ValueError
        The pool is at its ``max_bytes``, or closed.

    Warns
    -----
    PlacementWarning
        Once per cause, where the system refuses to place memory.

    Examples
    --------
    >>> import numpy as np
    >>> with numpy_allocator(node=0):
    ...     total = (np.ones((256, 256)) * 2 + 1).sum()
    >>> float(total)
    196608.0
    """

    __slots__ = ("_handler", "_nodes", "_pool", "_strict")

    def __init__(
        self,
        node: NodesLike | None = None,
        pool: BufferPool | None = None,
        *,
        strict: bool = False,
    ) -> None:
        given = arguments.optional_instance("pool", pool, BufferPool)
        self._nodes = wanted_of("node", node)
        self._strict = arguments.flag("strict", strict)
        self._pool = default_pool() if given is None else given
        self._handler = _core.numpy_handler(
            self._pool, self._nodes, self._strict, self._pool.zero_on_reuse
        )

    @property
    def node_id(self) -> int | None:
        """The node; None for that of the thread that makes an array, or for several."""
        return self._nodes[0] if len(self._nodes) == 1 else None

    @property
    def node_ids(self) -> tuple[int, ...]:
        """The nodes, ascending; none for that of the thread that makes an array."""
        return tuple(self._nodes)

    @property
    def pool(self) -> BufferPool:
        """The pool that large arrays take their memory from: to trim, or to attach to a monitor."""
        return self._pool

    def initializer(self) -> None:
        """Set it for good in the calling thread.

        New threads begin with NumPy's own allocator: give this to an executor, as in
        ``ThreadPoolExecutor(initializer=numpy_allocator(node=1).initializer)``.
        """
        _core.set_numpy_handler(self._handler)

    def __enter__(self) -> Self:
        before = _core.set_numpy_handler(self._handler)
        _entered.set((*_entered.get(), before))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        *outer, before = _entered.get() or (None,)
        if before is None:
            raise RuntimeError("numpy_allocator must be left in the context that entered it")
        _entered.set(tuple(outer))
        _core.set_numpy_handler(before)

    def __repr__(self) -> str:
        where = f"node {ids_text(self._nodes)}" if self._nodes else "the thread's node"
        return f"<numpy_allocator {where}{', strict' if self._strict else ''}: {self._pool!r}>"


def set_numpy_allocator(
    node: NodesLike | None = None, pool: BufferPool | None = None, *, strict: bool = False
) -> None:
    """Put every NumPy array that is made from here on in this context on a node.

    Without a node and a pool, NumPy's own allocator is restored. Parameters, errors and warnings
    are those of :class:`numpy_allocator`, which says what a context is.
    """
    if node is None and pool is None:
        if strict:
            raise ValueError("strict needs a node or a pool")
        _core.set_numpy_handler(None)
    else:
        numpy_allocator(node, pool, strict=strict).initializer()

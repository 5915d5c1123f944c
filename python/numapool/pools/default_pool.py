"""The pool of this process for whoever names none: NumPy's arrays, and streams."""

from __future__ import annotations

from numapool.base.locks import Rank, new_lock
from numapool.pools.pool import BufferPool

#: Memory that nobody used for so many seconds goes back to the system.
IDLE_S = 10.0

_lock = new_lock(Rank.POOL)
_pool: BufferPool | None = None


def default_pool() -> BufferPool:
    """Return the pool that :func:`stream` and :class:`numpy_allocator` use where none is named.

    There is one for the whole process, made at the first call and called ``default``. It has no
    cap, and gives back to the system what nobody used for 10 s. Use it to trim, to attach it to a
    :class:`PressureMonitor`, or to read its statistics.

    Returns
    -------
    BufferPool
        If you close it, what was opened with it keeps it, and the next call returns a new one.
    """
    global _pool
    pool = _pool
    if pool is not None and not pool.closed:
        return pool
    with _lock:
        if _pool is None or _pool.closed:
            _pool = BufferPool(idle_s=IDLE_S, name="default")
        return _pool

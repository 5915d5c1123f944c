"""Arrow data whose buffers live on a node."""

from __future__ import annotations

from typing import Any

from numapool.arrays.creation import _default_allocator
from numapool.base import arguments
from numapool.machine.node_set import NodesLike, several_of
from numapool.memory.allocator import NodeBuffer, _size
from numapool.pools.pool import BufferPool


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError(
            "numapool.arrow_buffer needs pyarrow, which is not installed: pip install pyarrow"
        ) from error
    return pa


def arrow_buffer(
    data: Any,
    *,
    node: NodesLike | None = None,
    pool: BufferPool | None = None,
    strict: bool = False,
) -> Any:
    """Make Arrow data on a node: a new buffer, or a copy of what there is.

    Parameters
    ----------
    data : int, bytes-like, or pyarrow Buffer, Array, ChunkedArray, RecordBatch or Table
        A size in bytes makes a writable buffer of that size, whose content is not set where a pool
        gives it. Data is copied, all its buffers into one block of memory; slices are copied
        without what they leave out.
    node : NodesLike, optional
        The node; by default that of the calling thread. Of several nodes, as for
        :meth:`NumaAllocator.allocate`.
    pool : BufferPool, optional
        Where to take the memory from, and where it goes once the last of the data is gone.
    strict : bool
        Every byte on that node, or an error.

    Returns
    -------
    pyarrow.Buffer or the type that was given
        It keeps its memory alive, and so does every slice of it.

    Raises
    ------
    ImportError
        pyarrow is not installed.
    TypeError
        `data` is of another type.
    ValueError, MemoryError, NodeNotFoundError, PlacementError, UnsupportedError
        As for :meth:`NumaAllocator.allocate`.
    """
    pa = _pyarrow()
    wanted = several_of("node", node)
    exact = arguments.flag("strict", strict)
    arguments.optional_instance("pool", pool, BufferPool)

    def acquire(size_bytes: int) -> NodeBuffer:
        if pool is not None:
            return pool.acquire(size_bytes, wanted, strict=exact)
        return _default_allocator().allocate(size_bytes, wanted, strict=exact)

    if isinstance(data, pa.Table):
        return _copied_table(pa, data, acquire)
    if isinstance(data, pa.RecordBatch):
        batches = _copied_table(pa, pa.Table.from_batches([data]), acquire).to_batches()
        return batches[0] if batches else data
    if isinstance(data, (pa.Array, pa.ChunkedArray)):
        copied = _copied_table(pa, pa.table({"": data}), acquire).column(0)
        if isinstance(data, pa.ChunkedArray):
            return copied
        return copied.chunk(0) if copied.num_chunks else data
    if hasattr(data, "__index__"):
        return pa.py_buffer(acquire(_size(data, "data")))
    try:
        given = memoryview(data)
    except TypeError:
        takes = "a size in bytes, bytes-like, or a pyarrow Buffer, Array, RecordBatch or Table"
        raise TypeError(arguments.must_be("data", takes, data)) from None
    with given as view:
        if view.nbytes == 0:
            return pa.py_buffer(b"")
        buffer = acquire(view.nbytes)
        with memoryview(buffer) as target:
            target[:] = view.cast("B") if view.contiguous else view.tobytes()
    return pa.py_buffer(buffer)


def _copied_table(pa: Any, table: Any, acquire: Any) -> Any:
    """Write the table as an Arrow stream into one buffer, and read it there without a copy."""

    def write(sink: Any) -> None:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)

    counted = pa.MockOutputStream()
    write(counted)
    buffer = acquire(counted.size())
    with pa.FixedSizeBufferWriter(pa.py_buffer(buffer)) as sink:
        write(sink)
    return pa.ipc.open_stream(pa.py_buffer(buffer)).read_all()

"""Files read ahead by native threads near the device, block by block."""

from __future__ import annotations

import math
import os
import threading
import time
import warnings
from dataclasses import dataclass
from types import TracebackType
from typing import Self, SupportsIndex

from numapool import _core
from numapool.base import arguments, renamed
from numapool.base.arguments import PathLike, SizeLike
from numapool.base.arrivals import Arrivals
from numapool.base.errors import PoolExhaustedError
from numapool.machine.device_search import device_node
from numapool.machine.node_set import NodesLike, wanted_of
from numapool.machine.topology import NumaTopology
from numapool.pools.default_pool import default_pool
from numapool.pools.pool import BufferPool
from numapool.storage.transfer import at_least_0, open_error, path_of, transfer_error

NodeBuffer = _core.NodeBuffer

# Measured on a virtual disk and on NVMe by benchmarks/test_stream.py.
BLOCK_BYTES = 4 << 20
DEPTH = 4
_MOST_THREADS = 256
_MOST_BYTES = 2**62
_FOR_EVER_MS = 2**62
_TELL_MS = 5000


@dataclass(frozen=True, slots=True)
class StreamBlock:
    """A stretch of a file in memory. Closing or dropping its buffer gives the memory back.

    Attributes
    ----------
    buffer : NodeBuffer
        The bytes, as many as were read.
    offset : int or str
        Where they are in the file, in bytes.
    """

    buffer: NodeBuffer
    offset: int

    @property
    def nbytes(self) -> int:
        """How many bytes there are."""
        return self.buffer.nbytes

    def close(self) -> None:
        """Give the memory back; BufferError while a view of it is alive. Idempotent."""
        self.buffer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.buffer.__exit__(kind, error, traceback)


class FileStream:
    """Iterates over a file's blocks, which native threads read ahead; made by :func:`stream`.

    Safe to use from many threads, each of which gets other blocks. After a fork the child keeps the
    blocks that it has, and gets no more. Closing it leaves blocks that are out valid.
    """

    def __init__(
        self,
        path: PathLike,
        block_bytes: SizeLike,
        depth: SupportsIndex,
        node: NodesLike | None,
        pool: BufferPool | None,
        offset: SizeLike,
        size_bytes: SizeLike | None,
        direct: bool,
        timeout_s: float | None,
    ) -> None:
        self._path, asked = path_of(path)
        length = arguments.size("block_bytes", block_bytes)
        threads = arguments.integer("depth", depth)
        if not 1 <= length <= _MOST_BYTES:
            raise ValueError(arguments.must_be("block_bytes", "from 1 to 2**62", length))
        if not 1 <= threads <= _MOST_THREADS:
            raise ValueError(arguments.must_be("depth", f"from 1 to {_MOST_THREADS}", threads))
        if timeout_s is not None:
            timeout_s = arguments.wait("timeout_s", timeout_s)
        arguments.optional_instance("pool", pool, BufferPool)
        way = arguments.flag("direct", direct)
        start = at_least_0("offset", offset)
        most = None if size_bytes is None else at_least_0("size_bytes", size_bytes)
        self._timeout_s = timeout_s
        self._told = False
        source = default_pool() if pool is None else pool
        device = _device_of(self._path)
        chosen, cpus = _place(source.allocator.topology, node, device)
        opened = _core.stream_open(
            asked, source, length, threads, start, most, chosen, False, cpus, way
        )
        if isinstance(opened, _core.Failure):
            raise open_error(self._path, opened)
        self._core = opened
        self._arrivals = Arrivals(opened.fileno)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamBlock:
        """Wait for the next block and return it.

        Raises
        ------
        StorageError
            Reading failed at ``error.offset``; all before it was delivered.
        PoolExhaustedError
            All blocks are in use, and `timeout_s` is over, or this is the program's only thread,
            which would wait for itself. Blocks in reference cycles count as in use until
            ``gc.collect()``.
        ValueError
            The stream is closed, or was opened before this process was forked.

        Warns
        -----
        RuntimeWarning
            Once per stream: without `timeout_s`, it has waited 5 s for other threads to let go of a
            block, and goes on waiting.
        """
        item = self._next()
        if item is None:
            raise StopIteration
        return self._block_of(item)

    def _block_of(self, item: _core.StreamItem) -> StreamBlock:
        if item.failure is not None:
            raise transfer_error("read", self._path, item.offset, item.failure)
        assert item.buffer is not None
        return StreamBlock(item.buffer, item.offset)

    def _next(self) -> _core.StreamItem | None:
        if self._timeout_s is not None:
            patience_ms = math.ceil(min(self._timeout_s, 1e15) * 1000)
            return self._core.next(min(patience_ms, _FOR_EVER_MS))
        while True:
            alone = threading.active_count() == 1
            try:
                return self._core.next(0 if alone else _TELL_MS)
            except PoolExhaustedError as error:
                if alone:
                    raise
                self._tell_of_waiting(error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamBlock:
        """Wait for the next block, in a task of an event loop, and return it.

        The loop goes on meanwhile, and no thread waits. Tasks may share a stream: each gets other
        blocks. A task that is cancelled takes none.

        Raises
        ------
        StorageError, ValueError
            As :meth:`__next__`.
        PoolExhaustedError
            All blocks are in use, and `timeout_s` is over. Without it, a warning is issued after
            5 s.
        """
        starving_since: float | None = None
        while (item := self._core.poll()) is False:
            if not self._core.starved():
                starving_since = None
            elif starving_since is None:
                starving_since = time.monotonic()
            await self._arrivals.wait(self._patience_s(starving_since))
        if item is None:
            raise StopAsyncIteration
        return self._block_of(item)

    def _patience_s(self, starving_since: float | None) -> float | None:
        """Return how long to wait at most; raise or warn where all blocks were out for too long."""
        if starving_since is None:
            return None
        most_s = _TELL_MS / 1000 if self._timeout_s is None else self._timeout_s
        left_s = starving_since + most_s - time.monotonic()
        if left_s > 0:
            return left_s
        error = PoolExhaustedError(
            f"all {self.block_count} blocks of the stream are in use; let go of them as you go on, "
            "or open it with a greater depth"
        )
        if self._timeout_s is not None:
            raise error
        self._tell_of_waiting(error)
        return None

    def _tell_of_waiting(self, error: PoolExhaustedError) -> None:
        """Tell once that other threads hold every block, in a warning."""
        if self._told:
            return
        self._told = True
        message = (
            f"the stream of {self._path!r} waits until another thread lets go of a block: {error}. "
            "With timeout_s it raises instead. A block in a reference cycle comes back at the next "
            "gc.collect()"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=4)

    @property
    def path(self) -> str:
        """What is read."""
        return self._path

    @property
    def block_bytes(self) -> int:
        """Size of a full block in bytes."""
        return self._core.figures().block_bytes

    @property
    def block_count(self) -> int:
        """How many blocks there is memory for, those in use included."""
        return self._core.figures().block_count

    @property
    def node_id(self) -> int | None:
        """The node that holds most of the blocks; None where it is not known."""
        return self._core.figures().node_id

    @property
    def nbytes(self) -> int:
        """Bytes that were read so far, delivered or not."""
        return self._core.figures().nbytes

    @property
    def direct_bytes(self) -> int:
        """Of them, those that went past the page cache (O_DIRECT)."""
        return self._core.figures().direct_bytes

    @property
    def reason(self) -> str | None:
        """Why blocks go through the page cache; None where only the file's end does."""
        return self._core.figures().reason

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called: the stream gives no more blocks."""
        return self._core.closed()

    def close(self) -> None:
        """Stop reading, and wait for reads in flight. Idempotent."""
        self._core.close()

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
        state = "closed" if self.closed else f"{self.nbytes} bytes read"
        where = "" if self.node_id is None else f" on node {self.node_id}"
        blocks = f"{self.block_count} x {self.block_bytes} bytes{where}"
        return f"<FileStream of {self._path!r}: {blocks}, {state}>"


@renamed.parameters(size="size_bytes")
def stream(
    path: PathLike,
    block_bytes: SizeLike = BLOCK_BYTES,
    depth: SupportsIndex = DEPTH,
    node: NodesLike | None = "near",
    pool: BufferPool | None = None,
    *,
    offset: SizeLike = 0,
    size_bytes: SizeLike | None = None,
    direct: bool = True,
    timeout_s: float | None = None,
) -> FileStream:
    """Read a file ahead, block by block, by native threads on the CPUs near its device.

    Blocks come in the order of the file and without a gap. The memory of a block is used again once
    its buffer and all views of it are gone; while the consumer keeps blocks, as many fewer are read
    ahead. Use it in a ``with`` block or iterate to the end: then the file is closed and the threads
    have ended. A stream that is dropped earlier ends by itself when its reads are done.

    A file that grows meanwhile is read to the end it has when that is reached; one that shrinks, to
    its new end.

    Parameters
    ----------
    path : str or path-like
        A file or a block device.
    block_bytes : int or str
        Size of a block in bytes, or with a unit. A multiple of 4096 can be read past the page
        cache on every device; then the first block is shorter, if `offset` is no multiple.
    depth : int
        How many blocks are read at once, each by a thread of its own. There is memory for one more.
    node : "near", NodesLike or None
        Where the blocks are: on the usable node nearest to the device, a node, any of several
        nodes (nearest to the calling thread first), or the node of the calling thread (also where
        the device's node is not known).
    pool : BufferPool, optional
        What the memory counts for; by default :func:`default_pool`.
    offset : int or str
        Where to begin in the file, in bytes.
    size_bytes : int or str, optional
        How many bytes to read at most; by default up to the end of the file.
    direct : bool
        Go past the page cache where that can be; see :func:`read_into`.
    timeout_s : float, optional
        How long to wait in ``next()`` while every block is in use. By default for as long as it
        takes, with a warning after 5 s; a program's only thread gets an error at once.

    Raises
    ------
    OSError
        The file cannot be opened (FileNotFoundError, PermissionError, IsADirectoryError); it is a
        pipe or a socket; no thread can be started.
    ValueError
        A block size or a depth of less than 1, a negative offset, size or timeout.
    NodeNotFoundError, MemoryError, PoolExhaustedError
        As for :meth:`BufferPool.ring`.
    """
    return FileStream(path, block_bytes, depth, node, pool, offset, size_bytes, direct, timeout_s)


def _device_of(path: str) -> int | None:
    # device_node() takes a name that is not a file for a device's.
    os.stat(path)  # noqa: PTH116 - pathlib takes 2 ms to import
    try:
        return device_node(path)
    except OSError:
        return None


def _place(
    topology: NumaTopology, node: NodesLike | None, device: int | None
) -> tuple[list[int], list[int]]:
    """Return the nodes of the blocks, and the CPUs of the threads: those of the device's node."""
    known = topology._known_ids
    if isinstance(node, str) and node == "near":
        there = device if device in known else None
        near = () if there is None else topology._core.memory_order(there)
        chosen = list(near[:1])
    else:
        chosen = wanted_of("node", node)
    beside = chosen if device is None else [device]
    cpus = {cpu for one in beside if one in known for cpu in topology.node(one).cpu_cores}
    return chosen, sorted(cpus)

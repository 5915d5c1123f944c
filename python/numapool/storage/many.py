"""Many reads of a file at the same time: by the system's queue of reads, or by threads."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from numapool import _core
from numapool.base import arguments
from numapool.base.arguments import PathLike, SizeLike
from numapool.storage.transfer import (
    WRITABLE,
    TransferResult,
    at_least_0,
    in_thread,
    name_the_buffer,
    open_error,
    path_of,
    transfer_error,
)

if TYPE_CHECKING:
    from array import array

    from numapool.storage.transfer import Memory

_MOST = 2**63 - 1
_MOST_DEPTH = 1024
_OFFSETS = "an iterable of offsets in bytes"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShortRead:
    """A read that the file's end cut.

    Attributes
    ----------
    index : int
        Which of the reads it is, from 0.
    nbytes : int
        How many bytes came. What follows them in the buffer is unchanged.
    """

    index: int
    nbytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadManyResult(TransferResult):
    """What came of many reads.

    Attributes
    ----------
    nbytes, direct_bytes, reason
        As of :class:`TransferResult`, of all reads together.
    short_reads : tuple of ShortRead
        The reads that the file's end cut, in order. All others filled their buffers.
    engine : str
        ``"io_uring"``: the kernel's queue of reads. ``"threads"``: a thread for each read.
        ``"caller"``: the calling thread, one read after the other. That is how a single read and
        files whose size the system does not tell (devices such as /dev/zero) are read.
    engine_reason : str or None
        With ``"threads"``: why not the kernel's queue.
    """

    short_reads: tuple[ShortRead, ...] = ()
    engine: Literal["io_uring", "threads", "caller"]
    engine_reason: str | None = None


def read_many(
    path: PathLike,
    offsets: Iterable[SizeLike],
    buffers: Memory | Sequence[Memory],
    *,
    depth: int = 32,
    direct: bool = True,
) -> ReadManyResult:
    """Fill many buffers from many places of one file, with many reads at the same time.

    A disk serves many small reads at the same time much faster than one after the other. Up to
    `depth` reads are under way, without the GIL, until all buffers are full. Where the kernel and
    the container allow io_uring (Linux 6.3), one thread and few system calls serve them all;
    elsewhere up to 32 native threads read. :func:`numapool.capabilities` and ``numapool doctor``
    say which it will be, and ``result.engine`` which it was. Each read goes past the page cache
    where it is aligned, as by :func:`read_into`, and is continued if the system returns less.

    Parameters
    ----------
    path : str or path-like
        A file or a block device.
    offsets : iterable of int or str
        Where each read begins in the file, in bytes; also an array of integers.
    buffers : sequence of bytes-like, or one bytes-like
        A writable and contiguous buffer for each offset. One buffer (a :class:`NodeBuffer`, an
        array with a row for each offset) is cut into as many equal parts as there are offsets. If
        buffers overlap, what is in both is undefined.
    depth : int
        How many reads may be under way at a time, 1 to 1024.
    direct : bool
        Go past the page cache where that can be.

    Returns
    -------
    ReadManyResult
        How many bytes came, which way, and which reads the file's end cut.

    Raises
    ------
    StorageError
        A read failed at ``error.offset``. It is the first in the order of `offsets` that fails:
        the buffers of all before it are full, those after it have undefined contents.
    OSError
        The file cannot be opened (FileNotFoundError, PermissionError, IsADirectoryError); it is a
        pipe or a socket.
    ValueError
        A negative offset, another number of buffers than of offsets, one buffer whose size is no
        multiple of that number, a depth out of range.
    BufferError, TypeError
        An object is not a buffer, is read-only, or is not contiguous.
    KeyboardInterrupt
        Ctrl-C ends the reads once those under way have come to their end.
    """
    file, asked = path_of(path)
    starts = _offsets(offsets)
    pieces, name = _pieces(buffers, len(starts))
    most = arguments.integer("depth", depth)
    if not 1 <= most <= _MOST_DEPTH:
        raise ValueError(arguments.must_be("depth", f"from 1 to {_MOST_DEPTH}", depth))
    way = arguments.flag("direct", direct)
    try:
        done = _core.read_many(asked, starts, pieces, most, way)
    except (TypeError, BufferError) as error:
        raise name_the_buffer(error, name, pieces, WRITABLE) from None
    if done.failure is not None:
        if not done.opened:
            raise open_error(file, done.failure)
        raise transfer_error("read", file, done.failed_offset, done.failure)
    return ReadManyResult(
        nbytes=done.nbytes,
        direct_bytes=done.direct_bytes,
        reason=done.reason,
        short_reads=tuple(ShortRead(index=s.index, nbytes=s.nbytes) for s in done.short_reads),
        engine=_ENGINES[done.engine],
        engine_reason=done.why_no_queue,
    )


async def read_many_async(
    path: PathLike,
    offsets: Iterable[SizeLike],
    buffers: Memory | Sequence[Memory],
    *,
    depth: int = 32,
    direct: bool = True,
) -> ReadManyResult:
    """Do what :func:`read_many` does, while the event loop goes on.

    A thread of the loop's own pool reads (:meth:`asyncio.loop.run_in_executor`). A task that is
    cancelled waits until nothing is written to the buffers any more, and is cancelled then.

    Parameters, results and errors are those of :func:`read_many`.
    """
    work = functools.partial(read_many, path, offsets, buffers, depth=depth, direct=direct)
    return await in_thread(work)


_ENGINES: dict[_core.ReadEngine, Literal["io_uring", "threads", "caller"]] = {
    _core.ReadEngine.QUEUE: "io_uring",
    _core.ReadEngine.THREADS: "threads",
    _core.ReadEngine.CALLER: "caller",
}


def _offsets(offsets: Iterable[SizeLike]) -> array[int]:
    from array import array

    plain = getattr(offsets, "tolist", None)  # of an array, much faster than its items
    given = arguments.items("offsets", plain() if callable(plain) else offsets, _OFFSETS)
    try:
        numbers = array("Q", given)
    except (TypeError, ValueError, OverflowError):
        numbers = array("Q", [at_least_0("each of offsets", one) for one in given])
    if numbers and max(numbers) > _MOST:
        at_least_0("each of offsets", max(numbers))
    return numbers


def _pieces(buffers: Memory | Sequence[Memory], count: int) -> tuple[list[Memory], str]:
    """Return the buffers as a list, and how an error calls one of them."""
    whole = None if isinstance(buffers, list | tuple) else _size_of(buffers)
    if whole is None:
        pieces = arguments.items("buffers", buffers, "a buffer, or an iterable of buffers")
        if len(pieces) != count:
            raise ValueError(f"buffers must be as many as offsets, {count}, not {len(pieces)}")
        return pieces, "each of buffers"
    if count and whole % count:
        raise ValueError(
            f"buffers must have a size that is a multiple of the number of offsets, {count}, "
            f"not {whole} bytes"
        )
    return ([buffers] if count else []), "buffers"  # type: ignore[list-item]


def _size_of(buffers: object) -> int | None:
    """Return the size of one buffer; None for what is no buffer."""
    try:
        with memoryview(buffers) as view:  # type: ignore[arg-type]
            return view.nbytes
    except TypeError:
        return None
    except (BufferError, ValueError) as error:
        raise type(error)(f"buffers must be {WRITABLE}: {error}") from None

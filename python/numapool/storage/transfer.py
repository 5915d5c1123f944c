"""Whole transfers between files and memory, past the page cache where alignment allows."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from numapool import _core
from numapool.base import arguments, renamed
from numapool.base.arguments import PathLike, SizeLike
from numapool.base.errors import StorageError, UnsupportedError

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    import numpy.typing as npt
    from typing_extensions import Buffer

    # Before Python 3.12 the types of arrays do not say that they are buffers.
    Memory: TypeAlias = Buffer | npt.NDArray[Any]

T = TypeVar("T")

_MOST = 2**63 - 1
_READABLE = "a contiguous buffer (bytes, an array, a NodeBuffer)"
WRITABLE = "a writable contiguous buffer (an array, a NodeBuffer)"


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferResult:
    """What came of a transfer.

    Attributes
    ----------
    nbytes : int
        Bytes that were transferred; of a read, fewer than asked for at the end of the file.
    direct_bytes : int
        Of them, those that went past the page cache (O_DIRECT).
    reason : str or None
        Why more than the ends went through the page cache; None where that was not so.
    """

    nbytes: int
    direct_bytes: int
    reason: str | None = None

    @property
    def buffered_bytes(self) -> int:
        """Bytes that went through the page cache."""
        return self.nbytes - self.direct_bytes

    @property
    def way(self) -> Literal["direct", "buffered", "both"]:
        """Which way the bytes went; none went the buffered way."""
        if self.direct_bytes == 0:
            return "buffered"
        return "direct" if self.direct_bytes == self.nbytes else "both"


@renamed.parameters(size="size_bytes")
def read_into(
    path: PathLike,
    buffer: Memory,
    offset: SizeLike = 0,
    size_bytes: SizeLike | None = None,
    *,
    direct: bool = True,
) -> TransferResult:
    """Fill a buffer with what a file holds.

    Reads until `size_bytes` are there or the file ends, however often the system returns less, and
    without the GIL. What is aligned goes past the page cache, straight into the buffer (O_DIRECT);
    what is not, such as the last bytes of a file, through it. A node buffer begins at a page, so
    that from an `offset` that is a multiple of 4096 all but the end of a transfer is aligned on
    every device. Of a file that a program uses again and again, the page cache may be the faster
    way: `direct` switches to it.

    Parameters
    ----------
    path : str or path-like
        A file or a block device.
    buffer : bytes-like
        Writable and contiguous: a :class:`NodeBuffer`, an array, a slice of a memoryview.
    offset : int or str
        Where to begin in the file, in bytes.
    size_bytes : int or str, optional
        How many bytes to read; by default as many as the buffer has.
    direct : bool
        Go past the page cache where that can be.

    Returns
    -------
    TransferResult
        How many bytes came, and which way. What follows them in the buffer is unchanged, unless the
        file became shorter meanwhile.

    Raises
    ------
    StorageError
        Reading failed at ``error.offset``; the bytes before it are in the buffer.
    OSError
        The file cannot be opened (FileNotFoundError, PermissionError, IsADirectoryError); it is a
        pipe or a socket.
    ValueError
        A negative offset or size, a size that is more than the buffer has.
    BufferError, TypeError
        The object is not a buffer, is read-only, or is not contiguous.
    KeyboardInterrupt
        Ctrl-C is answered between pieces of 8 MiB.
    """
    return _read(path, "buffer", [_part(buffer, size_bytes)], offset, direct)


async def read_into_async(
    path: PathLike,
    buffer: Memory,
    offset: SizeLike = 0,
    size_bytes: SizeLike | None = None,
    *,
    direct: bool = True,
) -> TransferResult:
    """Do what :func:`read_into` does, while the event loop goes on.

    A thread of the loop's own pool reads (:meth:`asyncio.loop.run_in_executor`). A task that is
    cancelled waits until nothing is written to the buffer any more, and is cancelled then.

    Parameters, results and errors are those of :func:`read_into`.
    """
    work = functools.partial(read_into, path, buffer, offset, size_bytes, direct=direct)
    return await in_thread(work)


async def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in the event loop's pool of threads; a cancelled task waits for its end."""
    import asyncio

    reading = asyncio.get_running_loop().run_in_executor(None, work)
    cancelled: asyncio.CancelledError | None = None
    while not reading.done():
        try:
            await asyncio.wait((reading,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return reading.result()


def readv(
    path: PathLike,
    buffers: Sequence[Memory],
    offset: SizeLike = 0,
    *,
    direct: bool = True,
) -> TransferResult:
    """Fill several buffers, one after the other, with what a file holds from `offset` on.

    Otherwise as :func:`read_into`. Neighbours that are aligned, and whose lengths are, are read by
    one system call (up to 64 of them).
    """
    found = arguments.items("buffers", buffers, "an iterable of buffers")
    return _read(path, "each of buffers", found, offset, direct)


def _read(
    path: PathLike, name: str, buffers: list[Memory], offset: SizeLike, direct: bool
) -> TransferResult:
    file, asked = path_of(path)
    start = at_least_0("offset", offset)
    way = arguments.flag("direct", direct)
    try:
        done = _core.read_file(asked, buffers, start, None, way)
    except (TypeError, BufferError) as error:
        raise name_the_buffer(error, name, buffers, WRITABLE) from None
    return _result("read", file, start, done)


@renamed.parameters(size="size_bytes")
def write_from(
    path: PathLike,
    buffer: Memory,
    offset: SizeLike = 0,
    size_bytes: SizeLike | None = None,
    *,
    direct: bool = True,
    truncate: bool = False,
    sync: bool = False,
) -> TransferResult:
    """Write a buffer into a file, which is made where it is not there.

    Parameters
    ----------
    path, offset, direct
        As for :func:`read_into`.
    buffer : bytes-like
        Contiguous.
    size_bytes : int or str, optional
        How many bytes to write; by default all.
    truncate : bool
        Drop what the file held before.
    sync : bool
        Return once the bytes are on the device (fdatasync(2)). Going past the page cache alone
        does not say that: a device has a cache as well.

    Returns
    -------
    TransferResult
        All was written, and which way.

    Raises
    ------
    StorageError
        Writing failed at ``error.offset`` (a full disk: ENOSPC, a limit: EFBIG, EDQUOT); what is
        before it was written.
    OSError, ValueError, BufferError, TypeError, KeyboardInterrupt
        As for :func:`read_into`.
    """
    return _write(path, "buffer", [_part(buffer, size_bytes)], offset, direct, truncate, sync)


def writev(
    path: PathLike,
    buffers: Sequence[Memory],
    offset: SizeLike = 0,
    *,
    direct: bool = True,
    truncate: bool = False,
    sync: bool = False,
) -> TransferResult:
    """Write several buffers, one after the other, into a file from `offset` on.

    Otherwise as :func:`write_from`, and as :func:`readv` does.
    """
    found = arguments.items("buffers", buffers, "an iterable of buffers")
    return _write(path, "each of buffers", found, offset, direct, truncate, sync)


def _write(
    path: PathLike,
    name: str,
    buffers: list[Memory],
    offset: SizeLike,
    direct: bool,
    truncate: bool,
    sync: bool,
) -> TransferResult:
    file, asked = path_of(path)
    start = at_least_0("offset", offset)
    arguments.flags(direct=direct, truncate=truncate, sync=sync)
    try:
        done = _core.write_file(
            asked, buffers, start, None, bool(direct), bool(truncate), bool(sync)
        )
    except (TypeError, BufferError) as error:
        raise name_the_buffer(error, name, buffers, _READABLE) from None
    return _result("write", file, start, done)


def open_error(path: str, failure: _core.Failure) -> OSError:
    """Return what to raise for a file that could not be opened."""
    if failure.unsupported and failure.code == 0:
        return UnsupportedError("storage I/O is not supported on this platform")
    return OSError(failure.code, os.strerror(failure.code), path)


def transfer_error(
    doing: Literal["read", "write"], path: str, offset: int, failure: _core.Failure
) -> Exception:
    """Return what to raise for a transfer that failed at an offset."""
    code = failure.code
    if code == 0:
        return MemoryError(f"no memory to {doing} {path!r} at offset {offset}")
    message = f"{os.strerror(code)} ({failure.call} at offset {offset})"
    return StorageError(code, message, path, offset)


def _result(
    doing: Literal["read", "write"], path: str, start: int, done: _core.Transfer
) -> TransferResult:
    if done.failure is not None:
        if not done.opened:
            raise open_error(path, done.failure)
        raise transfer_error(doing, path, start + done.nbytes, done.failure)
    return TransferResult(nbytes=done.nbytes, direct_bytes=done.direct_bytes, reason=done.reason)


def path_of(path: PathLike) -> tuple[str, bytes]:
    """Return a file's name, and as the system takes it."""
    name = arguments.path("path", path)
    return name, os.fsencode(name)


def at_least_0(name: str, value: SizeLike) -> int:
    """Return an offset or a size."""
    number = arguments.size(name, value)
    if not 0 <= number <= _MOST:
        raise ValueError(arguments.must_be(name, "from 0 to 2**63 - 1", number))
    return number


def name_the_buffer(error: Exception, name: str, buffers: list[Memory], takes: str) -> Exception:
    """Return what to raise where the core could not use a buffer: the core does not know names."""
    for one in buffers:
        try:
            # Released at once: a view that an error keeps alive would keep the buffer open.
            memoryview(one).release()  # type: ignore[arg-type]
        except TypeError:
            return TypeError(arguments.must_be(name, takes, one))
        except (BufferError, ValueError) as why:
            return type(why)(f"{name} must be {takes}: {why}")
    return type(error)(f"{name} must be {takes}: {error}")


def _part(buffer: Memory, size_bytes: SizeLike | None) -> Memory:
    if size_bytes is None:
        return buffer
    wanted = at_least_0("size_bytes", size_bytes)
    try:
        view = memoryview(buffer)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(arguments.must_be("buffer", _READABLE, buffer)) from None
    if not view.c_contiguous:
        raise BufferError(f"buffer must be {_READABLE}, not one with gaps")
    if wanted > view.nbytes:
        raise ValueError(
            f"size_bytes must be at most the buffer's {view.nbytes} bytes, not {wanted}"
        )
    return view.cast("B")[:wanted] if view.nbytes else view

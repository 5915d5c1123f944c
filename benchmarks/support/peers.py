"""The peers: libnuma's allocator, bare system calls in C, and NumPy."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numapool
from benchmarks.support.race import Contender


class BareCalls:
    """The functions of peers/bare.c, compiled by the system's C compiler."""

    def __init__(self, library: Path) -> None:
        calls = ctypes.CDLL(str(library))
        size, page = ctypes.c_size_t, ctypes.c_size_t
        calls.touch_pages.argtypes = [ctypes.c_void_p, size, page]
        calls.touch_pages.restype = None
        calls.bare_cycles.argtypes = [size, ctypes.c_int, page, ctypes.c_long]
        calls.use_once.argtypes = [size, page]
        calls.count_on_node.argtypes = [ctypes.c_void_p, size, page, ctypes.c_int]
        calls.count_on_node.restype = ctypes.c_long
        self._calls = calls

    def touch(self, address: int, length: int) -> None:
        """Write one byte in every base page."""
        self._calls.touch_pages(address, length, mmap.PAGESIZE)

    def use_once(self, length: int) -> None:
        """Have `length` bytes made resident, in huge pages where there are any; give them back."""
        _check(self._calls.use_once(length, mmap.PAGESIZE), "use_once")

    def cycles(self, length: int, node: int, count: int) -> None:
        """Do mmap, mbind, touch and munmap, `count` times over."""
        _check(self._calls.bare_cycles(length, node, mmap.PAGESIZE, count), "bare_cycles")

    def count_on_node(self, address: int, length: int, node: int) -> int:
        """Ask for the node of each base page; the number of pages on `node`."""
        found: int = self._calls.count_on_node(address, length, mmap.PAGESIZE, node)
        _check(-min(found, 0), "move_pages")
        return found


def _check(code: int, call: str) -> None:
    if code != 0:
        raise OSError(code, f"{call}: {os.strerror(code)}")


def numapool_allocate(
    allocator: numapool.NumaAllocator, size_bytes: int, node: int, **options: Any
) -> Contender:
    """Allocate and populate; closing is not timed."""
    return Contender(
        name="numapool",
        work=lambda: allocator.allocate(size_bytes, node, **options),
        undo=lambda buffer: buffer.close(),
    )


def numapool_cycles(
    allocator: numapool.NumaAllocator, size_bytes: int, node: int, count: int, **options: Any
) -> Contender:
    """Allocate, populate and close, `count` times over."""

    def work() -> None:
        allocate = allocator.allocate
        for _ in range(count):
            allocate(size_bytes, node, **options).close()

    return Contender(name="numapool", work=work)


def bare_cycles(bare: BareCalls, size_bytes: int, node: int, count: int) -> Contender:
    """Do the same with system calls in a C loop."""
    return Contender(
        name="mmap+mbind+touch+munmap in C", work=lambda: bare.cycles(size_bytes, node, count)
    )


def libnuma_allocate(
    libnuma: ctypes.CDLL, bare: BareCalls, size_bytes: int, node: int
) -> Contender:
    """numa_alloc_onnode, and every page touched; numa_free is not timed."""

    def work() -> int:
        address: int | None = libnuma.numa_alloc_onnode(size_bytes, node)
        if address is None:
            raise MemoryError(f"numa_alloc_onnode: no {size_bytes} bytes on node {node}")
        bare.touch(address, size_bytes)
        return address

    return Contender(
        name="numa_alloc_onnode+touch",
        work=work,
        undo=lambda address: libnuma.numa_free(address, size_bytes),
    )


def numpy_empty(bare: BareCalls, size_bytes: int) -> Contender:
    """np.empty, and every page touched; dropping the array is not timed."""
    import numpy as np

    def work() -> Any:
        array = np.empty(size_bytes, np.uint8)
        bare.touch(array.ctypes.data, size_bytes)
        return array

    return Contender(name="np.empty+touch", work=work)


def open_libnuma() -> ctypes.CDLL:
    """Load libnuma.

    Raises
    ------
    OSError
        It is not installed, or this kernel has no NUMA support.
    """
    libnuma = ctypes.CDLL("libnuma.so.1")
    available: Callable[[], int] = libnuma.numa_available
    if available() < 0:
        raise OSError("numa_available says that this kernel has no NUMA support")
    libnuma.numa_alloc_onnode.argtypes = [ctypes.c_size_t, ctypes.c_int]
    libnuma.numa_alloc_onnode.restype = ctypes.c_void_p
    libnuma.numa_free.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libnuma.numa_free.restype = None
    return libnuma

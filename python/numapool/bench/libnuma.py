"""libnuma's own allocator, where it is installed: the peer that numapool's is compared with."""

from __future__ import annotations

import ctypes
from typing import Any


class Libnuma:
    """``numa_alloc_onnode`` and ``numa_free``.

    Raises
    ------
    OSError
        The library is not installed, or the kernel has no NUMA support.
    """

    def __init__(self) -> None:
        library = ctypes.CDLL("libnuma.so.1")
        if library.numa_available() < 0:
            raise OSError("numa_available: this kernel has no NUMA support")
        library.numa_alloc_onnode.argtypes = [ctypes.c_size_t, ctypes.c_int]
        library.numa_alloc_onnode.restype = ctypes.c_void_p
        library.numa_free.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        library.numa_free.restype = None
        self._library = library

    def allocate(self, size_bytes: int, node: int) -> Any:
        """Return memory that is bound to a node, as an object with the buffer protocol."""
        address = self._library.numa_alloc_onnode(size_bytes, node)
        if not address:
            raise MemoryError(f"numa_alloc_onnode: no {size_bytes} bytes on node {node}")
        return (ctypes.c_char * size_bytes).from_address(address)

    def free(self, memory: Any) -> None:
        """Give it back."""
        self._library.numa_free(ctypes.addressof(memory), len(memory))

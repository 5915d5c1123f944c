"""Memory policies by bare system calls, as a program without numapool makes them (x86-64)."""

from __future__ import annotations

import ctypes
import mmap
import os

MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND = 0, 1, 2
_SYS_MBIND, _SYS_SET_MEMPOLICY = 237, 238
_libc = ctypes.CDLL(None, use_errno=True)
_MASK_BITS = 64
_kept: list[Memory] = []


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def _mask(node: int | None) -> ctypes.Array[ctypes.c_ulong]:
    return (ctypes.c_ulong * 1)(0 if node is None else 1 << node)


def set_mempolicy(mode: int, node: int | None = None) -> None:
    """Set the policy of the calling thread, which the page cache that it fills follows too."""
    bits = 0 if node is None else _MASK_BITS + 1
    _check(_libc.syscall(_SYS_SET_MEMPOLICY, mode, _mask(node), bits), "set_mempolicy")


def mbind(address: int, nbytes: int, mode: int, node: int) -> None:
    """Set the policy of a range of memory."""
    arguments = ctypes.c_void_p(address), ctypes.c_ulong(nbytes), mode, _mask(node), _MASK_BITS + 1
    _check(_libc.syscall(_SYS_MBIND, *arguments, 0), "mbind")


class Memory:
    """Anonymous memory, none of it touched yet; it stays until it is closed or the process ends."""

    def __init__(self, nbytes: int) -> None:
        self.map = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.nbytes = nbytes
        _kept.append(self)
        first_byte = ctypes.c_char.from_buffer(self.map)
        self.address = ctypes.addressof(first_byte)

    def bind(self, node: int, mode: int = MPOL_BIND) -> None:
        """Set this memory's policy."""
        mbind(self.address, self.nbytes, mode, node)

    def touch(self) -> None:
        """Write to every page."""
        self.map[:: mmap.PAGESIZE] = b"\1" * (self.nbytes // mmap.PAGESIZE)

    def lock(self) -> None:
        """Page-lock it, which also populates it."""
        address, length = ctypes.c_void_p(self.address), ctypes.c_size_t(self.nbytes)
        _check(_libc.mlock(address, length), "mlock")

    def advise(self, advice: int, start: int = 0, nbytes: int | None = None) -> None:
        """madvise(2) on a part of it, from a page boundary."""
        self.map.madvise(advice, start, self.nbytes - start if nbytes is None else nbytes)

    def close(self) -> None:
        """Give it back."""
        _kept.remove(self)
        self.map.close()

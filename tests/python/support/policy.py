"""The memory policy of the calling thread, as the kernel tells it."""

from __future__ import annotations

import ctypes
import platform

from . import seccomp


def kernel_policy() -> tuple[int, int]:
    """Ask the kernel itself: (mode, first 64 nodes as a mask)."""
    number = seccomp.NUMBERS[platform.machine()]["get_mempolicy"]
    mode = ctypes.c_int()
    mask = (ctypes.c_ulong * 16)()
    arguments = [ctypes.c_ulong(one) for one in (1025, 0, 0)]  # maxnode, address, flags
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.syscall(ctypes.c_long(number), ctypes.byref(mode), mask, *arguments) == 0
    return mode.value, mask[0]

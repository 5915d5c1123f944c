"""The memory policy of the calling thread, as the kernel tells it."""

from __future__ import annotations

import ctypes


def kernel_policy() -> tuple[int, int]:
    """Ask the kernel itself: (mode, first 64 nodes as a mask)."""
    libnuma = ctypes.CDLL("libnuma.so.1", use_errno=True)
    mode = ctypes.c_int()
    mask = (ctypes.c_ulong * 16)()
    assert libnuma.get_mempolicy(ctypes.byref(mode), mask, ctypes.c_ulong(1025), None, 0) == 0
    return mode.value, mask[0]

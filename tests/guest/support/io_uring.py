"""Pins memory for long (FOLL_LONGTERM), as a device's driver does: by a registered buffer."""

from __future__ import annotations

import ctypes
import os

# arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/linux/io_uring.h
_SETUP, _REGISTER = 425, 427
_REGISTER_BUFFERS = 0
_PARAMETERS_BYTES = 120
_libc = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def pin(address: int, nbytes: int) -> int:
    """Pin so many bytes at an address; returns a descriptor that holds the pin until closed."""
    parameters = ctypes.create_string_buffer(_PARAMETERS_BYTES)
    ring = int(_libc.syscall(_SETUP, 1, parameters))
    if ring < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")
    vector = _Vector(address, nbytes)
    if _libc.syscall(_REGISTER, ring, _REGISTER_BUFFERS, ctypes.byref(vector), 1) != 0:
        code = ctypes.get_errno()
        os.close(ring)
        raise OSError(code, f"io_uring_register: {os.strerror(code)}")
    return ring

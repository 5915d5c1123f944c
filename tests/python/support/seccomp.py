"""Refuses system calls as a container profile does: a real seccomp filter (seccomp(2))."""

from __future__ import annotations

import ctypes
import platform
import struct

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000
BPF_LOAD_WORD = 0x20
BPF_JUMP_EQUAL = 0x15
BPF_RETURN = 0x06

# arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h
NUMBERS = {
    "x86_64": {
        "mbind": 237,
        "set_mempolicy": 238,
        "get_mempolicy": 239,
        "migrate_pages": 256,
        "move_pages": 279,
        "perf_event_open": 298,
        "madvise": 28,
        "mlock": 149,
        "mlock2": 325,
        "sched_setaffinity": 203,
        "statx": 332,
        "io_uring_setup": 425,
        "io_uring_enter": 426,
        "io_uring_register": 427,
    },
    "aarch64": {
        "mbind": 235,
        "get_mempolicy": 236,
        "set_mempolicy": 237,
        "migrate_pages": 238,
        "move_pages": 239,
        "perf_event_open": 241,
        "madvise": 233,
        "mlock": 228,
        "mlock2": 284,
        "sched_setaffinity": 122,
        "statx": 291,
        "io_uring_setup": 425,
        "io_uring_enter": 426,
        "io_uring_register": 427,
    },
}


#: Code that takes MADV_POPULATE_WRITE (23) from a process (EINVAL), as Linux 5.13 lacks it.
BEFORE_5_14 = "from support import seccomp; seccomp.refuse_argument('madvise', 2, 23, 22)"


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _instruction(code: int, jump_true: int, jump_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, value)


def refuse(calls: list[str], errno: int) -> None:
    """Make `calls` fail with `errno` in this process from here on; it cannot be undone.

    0 makes them succeed without doing anything, as sandboxes do.
    """
    numbers = [NUMBERS[platform.machine()][call] for call in calls]
    program = _instruction(BPF_LOAD_WORD, 0, 0, 0)  # seccomp_data.nr
    for index, number in enumerate(numbers):
        program += _instruction(BPF_JUMP_EQUAL, len(numbers) - index, 0, number)
    program += _instruction(BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW)
    program += _instruction(BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | errno)
    _install(program)


def refuse_argument(call: str, index: int, value: int, errno: int) -> None:
    """Make `call` fail where its argument `index` is `value`; it cannot be undone."""
    program = _instruction(BPF_LOAD_WORD, 0, 0, 0)
    program += _instruction(BPF_JUMP_EQUAL, 0, 3, NUMBERS[platform.machine()][call])
    program += _instruction(BPF_LOAD_WORD, 0, 0, 16 + 8 * index)  # seccomp_data.args, low half
    program += _instruction(BPF_JUMP_EQUAL, 0, 1, value)
    program += _instruction(BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | errno)
    program += _instruction(BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW)
    _install(program)


def _install(program: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    filled = _Program(len(program) // 8, program)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filled), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")

"""Automatic NUMA balancing that scans quickly, and which pages it has marked."""

from __future__ import annotations

import ctypes
import errno
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .nodes import setting
from .pages import PAGE_BYTES, Located, frames

_KNOBS = Path("/sys/kernel/debug/sched/numa_balancing")
_SYS_MOVE_PAGES = 279
_WAIT_S = 120.0
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def quick() -> Iterator[None]:
    """Have the kernel mark the pages of busy processes forked from here on at once."""
    with ExitStack() as stack:
        for name, value in (
            ("scan_period_max_ms", "100"),
            ("scan_period_min_ms", "50"),
            ("scan_delay_ms", "10"),
        ):
            stack.enter_context(setting(_KNOBS / name, value))
        stack.enter_context(setting("/proc/sys/kernel/numa_balancing", "1"))
        yield


def hidden_bytes(memory: Located) -> int:
    """Bytes of pages that are there and of which move_pages(2) says that they are not."""
    count = memory.nbytes // PAGE_BYTES
    addresses = (ctypes.c_void_p * count)(
        *range(memory.address, memory.address + memory.nbytes, PAGE_BYTES)
    )
    status = (ctypes.c_int * count)()
    asked = ctypes.c_ulong(count)
    assert _libc.syscall(_SYS_MOVE_PAGES, 0, asked, addresses, None, status, 0) == 0
    absent = (-errno.ENOENT, -errno.EFAULT)
    there = frames(memory.address, memory.nbytes)
    return PAGE_BYTES * sum(
        answer in absent and frame != 0 for answer, frame in zip(status, there, strict=True)
    )


def wait_hidden(memory: Located) -> int:
    """Keep the process busy until most of the memory is marked; return :func:`hidden_bytes`."""
    end = time.monotonic() + _WAIT_S
    while (hidden := hidden_bytes(memory)) < memory.nbytes // 2 and time.monotonic() < end:
        sum(range(200_000))
    return hidden

"""A pool in a process that locks its memory: what is trimmed goes back to the system."""

from __future__ import annotations

import pytest
from support import child

KEPT_LOCKED = """
import ctypes
import errno
import numpy as np
import numapool as nump
from support import seccomp

{before}
libc = ctypes.CDLL(None, use_errno=True)
pool = nump.BufferPool()
blocks = [pool.acquire(4096) for _ in range(12)]

def address_of(block):
    return np.frombuffer(block, np.uint8).ctypes.data

addresses = [address_of(block) for block in blocks]
for block, address in zip(blocks, addresses):
    memoryview(block)[:] = b"x" * 4096
    if libc.mlock(ctypes.c_void_p(address), 4096) != 0:
        print("not allowed")
        raise SystemExit
kept = blocks.pop(0)
for block in blocks:
    block.close()
retained = pool.statistics().total.retained_bytes
given = pool.trim()
print(given >= 11 * 4096, retained - given == pool.statistics().total.retained_bytes)
again = [pool.acquire(4096) for _ in range(11)]
lent = [block for block in again if address_of(block) in addresses]
print(all(bytes(memoryview(block)) == bytes(4096) for block in lent))
print(bytes(memoryview(kept)) == b"x" * 4096)
flags, inside = "", False
for line in open("/proc/self/smaps"):
    if "-" in line.split()[0] and not line.startswith("Vm"):
        first, _, last = line.split()[0].partition("-")
        inside = int(first, 16) <= addresses[5] < int(last, 16)
    if inside and line.startswith("VmFlags:"):
        flags = line.split()
print("lo" in flags)
"""

# madvise's MADV_DONTNEED_LOCKED is 24: EINVAL before Linux 5.18.
OLD_KERNEL = 'seccomp.refuse_argument("madvise", 2, 24, errno.EINVAL)'


@pytest.mark.parametrize("before", ["", OLD_KERNEL], ids=["this kernel", "before 5.18"])
def test_a_trim_gives_locked_memory_back_and_keeps_the_lock(before: str) -> None:
    out = child.check(KEPT_LOCKED.format(before=before))
    if out.split("\n")[0] == "not allowed":
        pytest.skip("no memory may be locked here")
    assert out.split() == ["True"] * 5

"""Memory is populated where MADV_POPULATE_WRITE is missing (before Linux 5.14): by touching it."""

from __future__ import annotations

import platform

import pytest
from support import child, seccomp

pytestmark = pytest.mark.skipif(
    platform.machine() not in seccomp.NUMBERS, reason="its numbers of system calls are not known"
)

MIB = 1 << 20


def test_everything_is_populated_and_keeps_its_bytes() -> None:
    """Small ones, those that several threads touch, and blocks whose pages a trim gave back."""
    out = child.check(
        f"""
        import errno, mmap
        import numpy as np
        import numapool as nump
        {seccomp.BEFORE_5_14}
        try:
            mmap.mmap(-1, 4096).madvise(23)
        except OSError as error:
            assert error.errno == errno.EINVAL
        else:
            raise AssertionError("the call is there")

        allocator = nump.NumaAllocator()
        for size in (5000, 3 << 20, 80 << 20):
            for page_size in ("auto", "base"):
                with allocator.allocate(size, page_size=page_size) as buffer:
                    assert buffer.placement().not_resident_bytes == 0
                    assert not np.frombuffer(buffer, np.uint8).any()
        with allocator.allocate_interleaved(3 << 20) as buffer:
            assert buffer.placement().not_resident_bytes == 0

        with nump.BufferPool(allocator) as pool:
            blocks = [pool.acquire(8192) for _ in range(40)]
            kept = blocks.pop()
            view = np.frombuffer(kept, np.uint8)
            view[:] = 7
            for block in blocks:
                block.close()
            assert pool.trim() > 0  # free blocks beside the live one: their pages go
            assert (view == 7).all()
            again = [pool.acquire(8192) for _ in range(39)]
            assert all(block.placement().not_resident_bytes == 0 for block in again)
            assert (view == 7).all()
            del view
        print("fine")
        """
    )
    assert out.strip() == "fine"


def test_more_than_there_is_is_refused_before_it_is_touched() -> None:
    out = child.check(
        f"""
        import numapool as nump
        {seccomp.BEFORE_5_14}
        most = nump._core.available().size_bytes
        try:
            nump.NumaAllocator().allocate(most + (1 << 30))
        except MemoryError as error:
            print("limited by" in str(error))
        nump.NumaAllocator().allocate(1 << 20).close()
        """
    )
    assert out.strip() == "True"

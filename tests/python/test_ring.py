"""BufferRing: blocks in turn, aligned, counted, never allocated anew."""

from __future__ import annotations

import gc
import mmap
import os
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import numapool as nump

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def pool() -> nump.BufferPool:
    return nump.BufferPool()


def test_blocks_come_in_turn_and_again(pool: nump.BufferPool) -> None:
    with pool.ring(64 * KIB, 4) as ring:
        addresses = []
        for _ in range(8):
            with ring.acquire() as buffer:
                addresses.append(buffer.address)
                assert buffer.nbytes == 64 * KIB
        assert addresses[:4] == addresses[4:]
        assert [b - a for a, b in pairwise(addresses[:4])] == [64 * KIB] * 3
        assert all(address % mmap.PAGESIZE == 0 for address in addresses)


def test_a_block_in_use_is_not_skipped(pool: nump.BufferPool) -> None:
    ring = pool.ring(10, 2)
    first, second = ring.acquire(), ring.acquire()
    assert (ring.in_use, len(ring)) == (2, 2)
    second.close()
    with pytest.raises(nump.PoolExhaustedError, match="next of the ring's 2 blocks"):
        ring.acquire()
    with pytest.raises(nump.PoolExhaustedError):
        ring.acquire(block=True, timeout_s=0.05)
    first.close()
    assert ring.acquire().nbytes == 10


def test_block_waits(pool: nump.BufferPool) -> None:
    ring = pool.ring(4 * KIB, 1)
    held = ring.acquire()
    threading.Timer(0.1, held.close).start()
    assert ring.acquire(block=True, timeout_s=30).nbytes == 4 * KIB


def test_its_memory_is_the_pools(pool: nump.BufferPool) -> None:
    ring = pool.ring(MIB, 8)
    assert pool.statistics().total.in_use_bytes == 8 * MIB
    buffer = ring.acquire()
    np.frombuffer(buffer, np.uint8)[:] = 1
    ring.close()
    ring.close()
    assert ring.closed
    assert pool.statistics().total.in_use_bytes == 8 * MIB
    with pytest.raises(ValueError, match="ring is closed"):
        ring.acquire()
    del buffer
    gc.collect()
    assert pool.statistics().total.in_use_bytes == 0


def test_its_memory_counts_against_the_cap() -> None:
    pool = nump.BufferPool(max_bytes=4 * MIB)
    with pytest.raises(nump.PoolExhaustedError):
        pool.ring(MIB, 5)
    ring = pool.ring(MIB, 4)
    with pytest.raises(nump.PoolExhaustedError):
        pool.acquire(1)
    assert ring.acquire().nbytes == MIB


def test_a_ring_outlives_its_pool() -> None:
    pool = nump.BufferPool()
    ring = pool.ring(MIB, 2)
    pool.close()
    buffer = ring.acquire()
    del pool, ring
    gc.collect()
    np.frombuffer(buffer, np.uint8)[:] = 1


@pytest.mark.parametrize(
    ("size", "count", "error"),
    [
        (0, 1, ValueError),
        (1, 0, ValueError),
        (1, -1, ValueError),
        (1, 2**40, ValueError),
        (2**50, 2**31, MemoryError),
        (2**62, 1, MemoryError),
    ],
)
def test_bad_sizes(pool: nump.BufferPool, size: int, count: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        pool.ring(size, count)
    assert pool.statistics().total.in_use_bytes == 0


def test_direct_io(pool: nump.BufferPool, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(os.urandom(MIB))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        pytest.skip("this file system has no O_DIRECT")
    try:
        with pool.ring(256 * KIB, 2) as ring:
            read = b""
            for _ in range(4):
                with ring.acquire() as buffer:
                    got = os.readv(fd, [buffer])
                    read += bytes(memoryview(buffer)[:got])
        assert read == path.read_bytes()
    finally:
        os.close(fd)


def test_many_threads(pool: nump.BufferPool) -> None:
    ring = pool.ring(4 * KIB, 3)
    clashes = []

    def work(mark: int) -> None:
        for _ in range(200):
            with ring.acquire(block=True) as buffer:
                array = np.frombuffer(buffer, np.uint8)
                array[:] = mark
                if not (array == mark).all():
                    clashes.append(mark)
                del array

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clashes == []
    assert ring.in_use == 0

"""Taking memory from pools and rings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import assert_type

import numapool as nump


class CountedPool(nump.BufferPool):
    """A pool that counts what is asked of it."""

    asked = 0

    def take(self, size_bytes: int) -> nump.NodeBuffer:
        self.asked += 1
        return self.acquire(size_bytes)


def progress(done: int, total: int) -> None:
    assert done <= total


with CountedPool(max_bytes=1 << 26, retain_bytes=1 << 24, idle_s=60.0, page_size="base") as pool:
    assert_type(pool, CountedPool)
    assert_type(pool.allocator, nump.NumaAllocator)
    assert_type(pool.max_bytes, int | None)
    assert_type(pool.reserve(1 << 16, 2, progress=progress), int)
    with pool.reserve(1 << 16, 2, background=True) as reservation:
        assert_type(reservation, nump.Reservation)
        assert_type(reservation.progress, tuple[int, int])
    assert_type(reservation.wait(timeout_s=1.5), int)
    assert_type(reservation.cancelled, bool)
    with pool.acquire(1 << 16, strict=False, block=True, timeout_s=1.5) as lent:
        assert_type(lent, nump.NodeBuffer)
    with pool.take(4096) as taken:
        assert_type(taken, nump.NodeBuffer)
    assert pool.asked == 1

    statistics = pool.statistics()
    assert_type(statistics, nump.PoolStatistics)
    assert_type(statistics.by_node, Mapping[int, nump.PoolCounts])
    assert_type(statistics.total.in_use_bytes, int)
    assert_type(statistics.total.hit_rate, float | None)
    assert_type(pool.trim(), int)
    assert_type(pool.trim(1 << 20, None), int)

    with pool.ring(8192, 4) as ring:
        assert_type(ring, nump.BufferRing)
        assert_type(ring.node_id, int | None)
        block = ring.acquire(block=True, timeout_s=0.5)
        assert_type(block, nump.NodeBuffer)
        block.close()

try:
    with nump.BufferPool(max_bytes=4096) as small:
        small.acquire(1 << 20)
except nump.PoolExhaustedError as error:
    exhausted: MemoryError = error

several = nump.nodes("all")
with nump.BufferPool() as of_any:
    assert_type(of_any.acquire(4096, several), nump.NodeBuffer)
    assert_type(of_any.acquire(4096, ["local"]), nump.NodeBuffer)
    assert_type(of_any.trim(node=several), int)


async def in_line() -> None:
    with nump.BufferPool(max_bytes="4MiB") as pool:
        assert_type(await pool.acquire_async("1MiB", strict=False), nump.NodeBuffer)
        assert_type(await pool.reserve("1MiB", 1, background=True), int)


asyncio.run(in_line())

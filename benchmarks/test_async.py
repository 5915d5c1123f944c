"""What does it cost to hand a block over to the first of 10,000 tasks, beside asyncio's queue?"""

from __future__ import annotations

import asyncio

from pytest_benchmark.fixture import BenchmarkFixture

import numapool
from benchmarks.support.figures import record
from benchmarks.support.race import Contender, race

MIB = 1 << 20
TASKS = 10_000


async def _through_pool() -> None:
    """Every task waits in the pool's line for the block of the one before it."""
    with numapool.BufferPool(max_bytes=MIB) as pool:

        async def one() -> None:
            (await pool.acquire_async(MIB)).close()

        held = pool.acquire(MIB)
        tasks = [asyncio.create_task(one()) for _ in range(TASKS)]
        await asyncio.sleep(0)
        held.close()
        await asyncio.gather(*tasks)


async def _through_queue() -> None:
    """The same by asyncio.Queue, which knows one loop and no sizes."""
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def one() -> None:
        queue.put_nowait(await queue.get())

    tasks = [asyncio.create_task(one()) for _ in range(TASKS)]
    await asyncio.sleep(0)
    queue.put_nowait(1)
    await asyncio.gather(*tasks)


def test_hand_over(benchmark: BenchmarkFixture) -> None:
    ours = Contender(name="numapool", work=lambda: asyncio.run(_through_pool()))
    peer = Contender(name="asyncio.Queue", work=lambda: asyncio.run(_through_queue()))
    ours.work()
    times = race(benchmark, ours, [peer], rounds=5)
    record(
        benchmark,
        what="await acquire_async() to close(), 10,000 tasks in line",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
        repeats=TASKS,
        note="start and end of the tasks included; the goal is 20 us",
    )

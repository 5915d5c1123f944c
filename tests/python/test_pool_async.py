"""Tasks that wait for a pool's memory: in line, without threads, and never forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import numapool as nump
from numapool import _core
from numapool.pools import waiting

MIB = 1 << 20


def in_loop(work: Callable[[nump.BufferPool], Coroutine[Any, Any, None]], blocks: int = 2) -> None:
    async def with_pool() -> None:
        with nump.BufferPool(max_bytes=blocks * MIB) as pool:
            await asyncio.wait_for(work(pool), 60)
            assert pool.statistics().total.in_use_bytes == 0

    asyncio.run(with_pool())


async def started(pool: nump.BufferPool, *sizes: int) -> list[asyncio.Task[nump.NodeBuffer]]:
    """Return tasks that stand in line, in that order."""
    tasks = [asyncio.create_task(pool.acquire_async(size)) for size in sizes]
    await asyncio.sleep(0)
    return tasks


def test_where_there_is_room_it_returns_at_once() -> None:
    async def work(pool: nump.BufferPool) -> None:
        with await pool.acquire_async("1MiB") as buffer:
            assert buffer.nbytes == MIB
        assert pool.statistics().total.misses == 1
        with await pool.acquire_async(MIB, node=buffer.node_id):
            assert pool.statistics().total.hits == 1

    in_loop(work)


def test_who_comes_first_is_served_first() -> None:
    async def work(pool: nump.BufferPool) -> None:
        held = [await pool.acquire_async(MIB) for _ in range(2)]
        order: list[int] = []

        async def one(number: int) -> None:
            with await pool.acquire_async(MIB):
                order.append(number)

        tasks = [asyncio.create_task(one(number)) for number in range(50)]
        await asyncio.sleep(0)
        assert not order
        for buffer in held:
            buffer.close()
        await asyncio.gather(*tasks)
        assert order == list(range(50))

    in_loop(work)


def test_a_small_request_does_not_overtake_a_large_one() -> None:
    async def work(pool: nump.BufferPool) -> None:
        held = [await pool.acquire_async(MIB) for _ in range(2)]
        large, small = await started(pool, 2 * MIB, MIB)
        held[0].close()
        await asyncio.sleep(0.01)
        assert not large.done()
        assert not small.done()
        held[1].close()
        (await large).close()
        (await small).close()

    in_loop(work)


def test_a_task_that_is_cancelled_leaves_the_line() -> None:
    async def work(pool: nump.BufferPool) -> None:
        held = [await pool.acquire_async(MIB) for _ in range(2)]
        large, small, last = await started(pool, 2 * MIB, MIB, MIB)
        small.cancel()
        held[0].close()
        large.cancel()
        (await last).close()
        assert [one.cancelled() for one in (large, small)] == [True, True]
        held[1].close()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                with await pool.acquire_async(2 * MIB):
                    await pool.acquire_async(MIB)

    in_loop(work)


def test_what_comes_as_a_task_is_cancelled_goes_to_the_next() -> None:
    async def work(pool: nump.BufferPool) -> None:
        held = await pool.acquire_async(2 * MIB)
        first, second = await started(pool, 2 * MIB, 2 * MIB)
        held.close()  # its turn is in the box
        first.cancel()
        (await second).close()
        assert first.cancelled()

    in_loop(work)


def test_any_thread_hands_over_and_loops_share_a_pool() -> None:
    rounds = 50

    async def work(pool: nump.BufferPool) -> None:
        for _ in range(rounds):
            with await pool.acquire_async(MIB):
                await asyncio.sleep(0)

    def threads_own(pool: nump.BufferPool) -> None:
        for _ in range(rounds):
            pool.acquire(MIB, block=True).close()

    with nump.BufferPool(max_bytes=MIB) as pool:
        jobs: list[Callable[[], None]] = [lambda: asyncio.run(work(pool))] * 2
        jobs.append(lambda: threads_own(pool))
        threads = [threading.Thread(target=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        total = pool.statistics().total
        assert total.in_use_bytes == 0
        assert total.hits + total.misses == 3 * rounds


def test_closing_the_pool_ends_those_who_wait() -> None:
    async def work(pool: nump.BufferPool) -> None:
        held = await pool.acquire_async(2 * MIB)
        tasks = await started(pool, MIB, MIB, MIB)
        pool.close()
        for task in tasks:
            with pytest.raises(ValueError, match="the pool is closed"):
                await task
        with pytest.raises(ValueError, match="the pool is closed"):
            await pool.acquire_async(MIB)
        held.close()

    in_loop(work)


def test_what_it_cannot_take_is_refused_as_acquire_does() -> None:
    async def work(pool: nump.BufferPool) -> None:
        for values, named in [
            ((3 * MIB,), {}),
            ((0,), {}),
            ((1.5,), {}),
            ((MIB, 7777), {}),
            ((MIB, "nonsense"), {}),
            ((MIB,), {"strict": "no"}),
        ]:
            call: Any = pool.acquire
            with pytest.raises((ValueError, TypeError, MemoryError)) as expected:
                call(*values, **named)
            with pytest.raises(expected.type) as found:
                await pool.acquire_async(*values, **named)  # type: ignore[arg-type]
            if "raise max_bytes" not in str(expected.value):
                assert str(found.value) == str(expected.value)

    in_loop(work)


def test_blocks_are_cleared_where_the_pool_clears_them() -> None:
    async def work() -> None:
        with nump.BufferPool(max_bytes=MIB, zero_on_reuse=True) as pool:
            held = await pool.acquire_async(MIB)
            memoryview(held)[:8] = b"\xff" * 8
            (task,) = await started(pool, MIB)
            held.close()
            with await task as buffer:
                assert bytes(memoryview(buffer)[:8]) == bytes(8)

    asyncio.run(work())


def test_a_loop_without_descriptors_looks_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    async def work(pool: nump.BufferPool) -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
        held = await pool.acquire_async(2 * MIB)
        (task,) = await started(pool, MIB)
        held.close()
        (await task).close()

    in_loop(work)


def test_nothing_is_left_where_nobody_waits() -> None:
    async def work(pool: nump.BufferPool) -> None:
        held = await pool.acquire_async(2 * MIB)
        (task,) = await started(pool, MIB)
        box = waiting._boxes[asyncio.get_running_loop()]
        assert len(box._waiting) == 1
        held.close()
        (await task).close()
        assert not box._waiting
        assert not asyncio.get_running_loop().remove_reader(box._core.fileno())

    in_loop(work)


class LineMachine(RuleBasedStateMachine):
    """Requests in line beside a list of them: first come, first served, and nobody forgotten."""

    sizes = st.sampled_from([MIB, 2 * MIB, 4 * MIB])

    def __init__(self) -> None:
        super().__init__()
        self.pool = nump.BufferPool(max_bytes=6 * MIB)
        self.box = _core.TurnBox()
        self.held: list[nump.NodeBuffer] = []
        self.line: list[tuple[int, int, _core.Turn]] = []  # key, size, turn
        self.next = 0

    def look(self) -> None:
        """What came up is what stood first."""
        for turn in self.box.take():
            key, size, _ = self.line.pop(0)
            assert turn.key == key
            assert isinstance(turn.value, nump.NodeBuffer)
            assert turn.value.nbytes == size
            self.held.append(turn.value)

    @rule(size=sizes)
    def join(self, size: int) -> None:
        self.next += 1
        found = _core.line_join(self.pool, self.box, self.next, size, [], False)
        if isinstance(found, nump.NodeBuffer):
            assert not self.line
            self.held.append(found)
        else:
            self.line.append((self.next, size, found))

    @rule(size=sizes)
    def take(self, size: int) -> None:
        with contextlib.suppress(nump.PoolExhaustedError):
            self.held.append(self.pool.acquire(size))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give(self, data: st.DataObject) -> None:
        self.held.pop(data.draw(st.integers(0, len(self.held) - 1))).close()

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.look()
        if self.line:
            _, _, turn = self.line.pop(data.draw(st.integers(0, len(self.line) - 1)))
            assert _core.line_leave(self.pool, turn)
            assert not _core.line_leave(self.pool, turn)

    @rule(size=sizes)
    def trim(self, size: int) -> None:
        self.pool.trim(size)

    @invariant()
    def nobody_is_forgotten(self) -> None:
        self.look()
        if self.line:
            with pytest.raises(nump.PoolExhaustedError):
                self.pool.acquire(self.line[0][1])
        total = self.pool.statistics().total
        assert total.in_use_bytes == sum(buffer.nbytes for buffer in self.held)
        assert total.in_use_bytes + total.retained_bytes <= 6 * MIB

    def teardown(self) -> None:
        self.pool.close()
        for turn in self.box.take():
            assert isinstance(turn.value, ValueError)
            self.line.pop(0)
        assert not self.line
        for buffer in self.held:
            buffer.close()


TestLine = LineMachine.TestCase
TestLine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


FORKS = """
import asyncio, os
import numapool as nump
from numapool.pools import waiting

MIB = 1 << 20

async def work():
    with nump.BufferPool(max_bytes=2 * MIB) as pool:
        held = await pool.acquire_async(2 * MIB)
        task = asyncio.create_task(pool.acquire_async(MIB))
        await asyncio.sleep(0)
        (future,) = waiting._boxes[asyncio.get_running_loop()]._waiting.values()
        child = os.fork()
        if child == 0:
            ended = isinstance(future.exception(), ValueError) and not waiting._boxes
            held.close()
            with pool.acquire(MIB):
                os._exit(0 if ended else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        await asyncio.sleep(0.01)
        assert not task.done()
        held.close()
        (await task).close()

asyncio.run(work())
"""


def test_in_the_child_of_a_fork_nobody_waits_any_more() -> None:
    code = [sys.executable, "-W", "error", "-c", FORKS]
    done = subprocess.run(code, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")

"""Files in tasks: blocks of a stream, and read_into_async."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import numapool as nump

BLOCK = 16384
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class WithoutReaders(asyncio.SelectorEventLoop):
    """A loop that watches no descriptors, as that of Windows."""

    def add_reader(self, *_: Any) -> None:  # type: ignore[override]
        raise NotImplementedError


@pytest.fixture(params=[asyncio.new_event_loop, WithoutReaders], ids=["readers", "no readers"])
def run(request: pytest.FixtureRequest) -> Run:
    def in_a_loop(work: Coroutine[Any, Any, Any]) -> Any:  # of its own, for each thread
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(work)

    return in_a_loop


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "numbers"
    path.write_bytes(bytes(range(256)) * 1025)  # no whole number of blocks
    return path


def test_blocks_come_in_order_and_hold_the_file(file: Path, run: Run) -> None:
    async def work() -> bytes:
        parts: list[bytes] = []
        with nump.stream(file, BLOCK, depth=2) as stream:
            async for block in stream:
                with block:
                    assert block.offset == sum(map(len, parts))
                    parts.append(bytes(memoryview(block.buffer)))
        return b"".join(parts)

    assert run(work()) == file.read_bytes()


def test_tasks_share_a_stream_and_each_gets_other_blocks(file: Path, run: Run) -> None:
    async def work() -> list[int]:
        offsets: list[int] = []

        async def consume(stream: nump.FileStream) -> None:
            async for block in stream:
                with block:
                    offsets.append(block.offset)
                    await asyncio.sleep(0)

        with nump.stream(file, BLOCK, depth=2) as stream:
            await asyncio.wait_for(asyncio.gather(*(consume(stream) for _ in range(5))), 60)
        return offsets

    assert sorted(run(work())) == list(range(0, file.stat().st_size, BLOCK))


def test_while_all_blocks_are_out_it_waits_or_gives_up(file: Path, run: Run) -> None:
    async def work() -> None:
        with nump.stream(file, BLOCK, depth=1, timeout_s=0.02) as stream:
            held = [await anext(stream), await anext(stream)]
            with pytest.raises(nump.PoolExhaustedError, match="all 2 blocks of the stream are in"):
                await anext(stream)
            held[0].close()
            with await anext(stream) as block:
                assert block.offset == 2 * BLOCK
            held[1].close()
        with nump.stream(file, BLOCK, depth=1) as stream:
            held = [await anext(stream), await anext(stream)]
            next_one = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.01)
            assert not next_one.done()
            held[1].close()
            (await asyncio.wait_for(next_one, 60)).close()
            held[0].close()

    run(work())


def test_a_task_that_is_cancelled_takes_no_block(file: Path, run: Run) -> None:
    async def work() -> None:
        with nump.stream(file, BLOCK, depth=1) as stream:
            held = [await anext(stream), await anext(stream)]
            task = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.01)
            task.cancel()
            for block in held:
                block.close()
            with await anext(stream) as block:
                assert block.offset == 2 * BLOCK

    run(work())


def test_a_closed_stream_says_so(file: Path, run: Run) -> None:
    async def work() -> None:
        stream = nump.stream(file, BLOCK)
        stream.close()
        with pytest.raises(ValueError, match="closed"):
            await anext(stream)

    run(work())


def test_closing_wakes_a_task_that_waits(file: Path, run: Run) -> None:
    async def work() -> None:
        stream = nump.stream(file, BLOCK, depth=1)
        held = [await anext(stream), await anext(stream)]
        task = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.01)
        stream.close()
        with pytest.raises(ValueError, match="closed"):
            await asyncio.wait_for(task, 60)
        for block in held:
            block.close()

    run(work())


def test_read_into_async_reads_what_read_into_reads(file: Path, run: Run) -> None:
    async def work() -> None:
        with nump.NumaAllocator().allocate(8192) as buffer:
            done = await nump.read_into_async(file, buffer, 4096, 5000)
            assert done.nbytes == 5000
            assert bytes(memoryview(buffer)[:5000]) == file.read_bytes()[4096:9096]
            with pytest.raises(FileNotFoundError):
                await nump.read_into_async(file.parent / "none", buffer)
            with pytest.raises(ValueError, match="offset"):
                await nump.read_into_async(file, buffer, -1)

    run(work())


class SlowExecutor(ThreadPoolExecutor):
    """Begins its work when it is told to."""

    def __init__(self) -> None:
        super().__init__(1)
        self.begun, self.go_on, self.over = (threading.Event() for _ in range(3))

    def submit(self, work: Any, /, *values: Any, **named: Any) -> Any:
        def slowly() -> Any:
            self.begun.set()
            self.go_on.wait(60)
            try:
                return work(*values, **named)
            finally:
                self.over.set()

        return super().submit(slowly)


def test_a_read_is_over_when_its_task_is(file: Path, run: Run) -> None:
    async def work() -> None:
        executor = SlowExecutor()
        asyncio.get_running_loop().set_default_executor(executor)
        task = asyncio.ensure_future(nump.read_into_async(file, bytearray(10)))
        while not executor.begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        executor.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert executor.over.is_set()

    run(work())

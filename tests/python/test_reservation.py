"""Filling a pool in the background: progress, waiting, cancelling, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from typing import Any

import pytest

import numapool as nump

MIB = 1 << 20
#: More than any machine adds before it is cancelled a moment later: nothing waits for its end.
MANY = 1 << 20


def retained(pool: nump.BufferPool) -> int:
    return pool.statistics().total.retained_bytes


def test_blocks_are_added_while_the_program_goes_on() -> None:
    with nump.BufferPool() as pool:
        reservation = pool.reserve("1MiB", 4, background=True)
        assert isinstance(reservation, nump.Reservation)
        assert (reservation.size_bytes, reservation.count) == (MIB, 4)
        assert reservation.asked_bytes == 4 * MIB
        assert reservation.wait() == 4
        assert reservation.done
        assert not reservation.cancelled
        assert reservation.progress == (4 * MIB, 4 * MIB)
        assert retained(pool) == 4 * MIB
        assert reservation.wait(timeout_s=0) == 4  # as often as one likes
        held = [pool.acquire(MIB) for _ in range(4)]
        assert pool.statistics().total.hits == 4
        assert reservation.done_bytes == 4 * MIB  # lent since, and still added
        del held


def test_small_blocks_come_by_the_slab_and_progress_ends_at_what_was_asked_for() -> None:
    with nump.BufferPool() as pool:
        reservation = pool.reserve("4KiB", 600, background=True)
        assert reservation.wait() >= 600
        assert reservation.progress == (600 * 4096, 600 * 4096)


def test_none_is_over_at_once() -> None:
    with nump.BufferPool() as pool:
        assert pool.reserve(MIB, 0, background=True).wait(60) == 0
        assert retained(pool) == 0


def test_what_can_never_be_served_is_refused_at_once() -> None:
    with nump.BufferPool(max_bytes=2 * MIB) as pool:
        with pytest.raises(nump.PoolExhaustedError):
            pool.reserve(3 * MIB, 1, background=True)
        with pytest.raises(nump.NodeNotFoundError):
            pool.reserve(MIB, 1, 99, background=True)
        with pytest.raises(ValueError, match="count"):
            pool.reserve(MIB, -1, background=True)
        with pytest.raises(ValueError, match="progress cannot be used with background=True"):
            pool.reserve(MIB, 1, progress=print, background=True)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="closed"):
        pool.reserve(MIB, 1, background=True)
    with pytest.raises(TypeError, match="made by BufferPool"):
        nump.Reservation()


def test_errors_are_told_by_wait_each_time_and_what_was_added_stays() -> None:
    with nump.BufferPool(max_bytes=2 * MIB) as pool:
        reservation = pool.reserve(MIB, 3, background=True)
        for _ in range(2):
            with pytest.raises(nump.PoolExhaustedError, match="max_bytes"):
                reservation.wait()
        assert reservation.done
        assert not reservation.cancelled
        assert reservation.done_bytes == 2 * MIB == retained(pool)
        assert repr(reservation) == f"<Reservation {pool.name}: 2 MiB of 3 MiB, failed>"


def test_cancel_keeps_what_is_there() -> None:
    with nump.BufferPool(retain_bytes=4 * MIB) as pool:
        reservation = pool.reserve(64 << 10, MANY, background=True)
        assert "running" in repr(reservation) or reservation.done
        with pytest.raises(TimeoutError, match="not over after 0 s"):
            reservation.wait(timeout_s=0)
        reservation.cancel()
        reservation.cancel()
        added = reservation.wait()
        assert added < MANY
        assert reservation.cancelled
        assert reservation.done_bytes == added * (64 << 10)
        assert "cancelled" in repr(reservation)
        reservation.cancel()  # nothing is left to end
    with pytest.raises(ValueError, match="timeout_s"):
        reservation.wait(-1)


def test_as_a_context_manager_it_waits_or_is_cancelled() -> None:
    with nump.BufferPool() as pool:
        with pool.reserve(MIB, 2, background=True) as reservation:
            assert reservation.asked_bytes == 2 * MIB
        assert reservation.done
        assert retained(pool) == 2 * MIB
    with nump.BufferPool(retain_bytes=4 * MIB) as pool:
        with (
            pytest.raises(LookupError),
            pool.reserve(64 << 10, MANY, background=True) as reservation,
        ):
            raise LookupError
        assert reservation.cancelled


def test_closing_the_pool_ends_it() -> None:
    pool = nump.BufferPool(retain_bytes=4 * MIB)
    reservation = pool.reserve(64 << 10, MANY, background=True)
    pool.close()
    with pytest.raises(ValueError, match=r"the pool (was|is) closed"):
        reservation.wait()
    assert not reservation.cancelled


def test_a_pool_that_is_dropped_ends_it_and_a_reservation_that_is_dropped_goes_on() -> None:
    pool = nump.BufferPool(retain_bytes=4 * MIB)
    reservation = pool.reserve(64 << 10, MANY, background=True)
    del pool
    gc.collect()
    with pytest.raises(ValueError, match="closed"):
        reservation.wait(60)
    with nump.BufferPool() as other:
        other.reserve(MIB, 2, background=True)
        end = time.monotonic() + 60
        while retained(other) < 2 * MIB and time.monotonic() < end:
            time.sleep(0.005)
        assert retained(other) == 2 * MIB


def test_several_at_once_in_one_pool() -> None:
    with nump.BufferPool() as pool:
        all_of = [pool.reserve(MIB, 2, node, background=True) for node in (None, 0, [0])]
        assert [one.wait() for one in all_of] == [2, 2, 2]
        assert retained(pool) == 6 * MIB


def test_a_task_awaits_it() -> None:
    async def work() -> tuple[int, int]:
        with nump.BufferPool() as pool:
            first = pool.reserve(MIB, 2, background=True)
            second = pool.reserve(2 * MIB, 1, background=True)
            return tuple(await asyncio.gather(first, second))  # type: ignore[return-value]

    assert asyncio.run(work()) == (2, 1)


def _run(code: str, *arguments: Any) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def test_a_program_that_ends_does_not_wait_for_all_of_it() -> None:
    code = f"""if True:
        import numapool as nump
        pool = nump.BufferPool(retain_bytes="4MiB")
        pool.reserve("64KiB", {MANY}, background=True)
        print("over")
    """
    assert _run(code) == "over\n"


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
def test_in_the_child_of_a_fork_it_is_over() -> None:
    code = f"""if True:
        import os
        import numapool as nump
        pool = nump.BufferPool(retain_bytes="4MiB")
        reservation = pool.reserve("64KiB", {MANY}, background=True)
        child = os.fork()
        if not child:
            ended = reservation.done and reservation.cancelled
            reservation.cancel()
            reservation.wait()
            again = pool.reserve("64KiB", 2, background=True).wait()
            pool.close()
            os._exit(0 if ended and again >= 2 else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert not reservation.done
        reservation.cancel()
        reservation.wait()
        print("over")
    """
    if sys.version_info >= (3, 12):
        code = "import warnings; warnings.simplefilter('ignore')\n" + code
    assert _run(code) == "over\n"

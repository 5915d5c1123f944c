"""BufferPool from Python: arguments, reuse, limits, statistics, arrays."""

from __future__ import annotations

import gc
import mmap
import threading
import time
import weakref

import numpy as np
import pytest
from support.waiting import within_seconds

import numapool as nump

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def pool() -> nump.BufferPool:
    return nump.BufferPool()


def test_a_buffer_comes_back_by_close_with_and_garbage(pool: nump.BufferPool) -> None:
    first = pool.acquire(MIB)
    address = first.address
    first.close()
    with pool.acquire(MIB) as second:
        assert second.address == address
    third = pool.acquire(MIB)
    assert third.address == address
    del third
    total = pool.statistics().total
    assert (total.hits, total.misses, total.in_use_bytes) == (2, 1, 0)
    assert total.retained_bytes == MIB
    assert total.hit_rate == pytest.approx(2 / 3)


def test_a_view_keeps_the_block_out(pool: nump.BufferPool) -> None:
    with pool.acquire(MIB) as buffer:
        array = np.frombuffer(buffer, np.uint8)
        array[:] = 7
        with pytest.raises(BufferError, match="1 view"):
            buffer.close()
    other = pool.acquire(MIB)
    np.frombuffer(other, np.uint8)[:] = 9
    assert (array == 7).all()
    assert pool.statistics().total.in_use_bytes == 2 * MIB
    del array, buffer
    gc.collect()
    assert pool.statistics().total.in_use_bytes == MIB


def test_a_buffer_has_all_that_a_buffer_has(pool: nump.BufferPool) -> None:
    with pool.acquire(100 * KIB, strict=True) as buffer:
        assert buffer.nbytes == len(buffer) == 100 * KIB
        assert buffer.step is nump.AllocationStep.PREFERRED
        assert buffer.placement().resident_bytes >= 100 * KIB
        assert "100 KiB" in repr(buffer)
    assert buffer.closed
    with pytest.raises(ValueError, match="closed"):
        memoryview(buffer)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "says"),
    [
        ((0,), {}, ValueError, "at least 1, not 0"),
        ((-5,), {}, ValueError, "at least 1, not -5"),
        ((2**70,), {}, MemoryError, "address space"),
        ((2**62,), {}, MemoryError, "."),
        (("a",), {}, ValueError, "size_bytes must be a number of bytes"),
        ((1.5,), {}, TypeError, "."),
        ((), {}, TypeError, "size_bytes"),
        ((1, 0, 0), {}, TypeError, "positional"),
        ((1, 99), {}, nump.NodeNotFoundError, "99"),
        ((1, -1), {}, nump.NodeNotFoundError, "."),
        ((1, 2**80), {}, nump.NodeNotFoundError, "."),
        ((1,), {"nodes": 0}, TypeError, "unexpected keyword argument 'nodes'"),
        ((1,), {"size_bytes": 2}, TypeError, "multiple values"),
        ((1,), {"timeout_s": 1}, ValueError, "block=True"),
        ((1,), {"block": True, "timeout_s": -1}, ValueError, "at least 0"),
        ((1,), {"block": True, "timeout_s": float("nan")}, ValueError, "at least 0"),
    ],
)
def test_bad_arguments(
    pool: nump.BufferPool,
    arguments: tuple[object, ...],
    options: dict[str, object],
    error: type[Exception],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        pool.acquire(*arguments, **options)  # type: ignore[arg-type]
    assert pool.statistics().total.in_use_bytes == 0


@pytest.mark.parametrize(
    "options",
    [
        {"max_bytes": -1},
        {"retain_bytes": -1},
        {"idle_s": 0},
        {"idle_s": float("nan")},
        {"page_size": "huge"},
        {"page_size": 3000},
    ],
)
def test_bad_options(options: dict[str, object]) -> None:
    with pytest.raises((ValueError, nump.UnsupportedError)):
        nump.BufferPool(**options)  # type: ignore[arg-type]


def test_max_bytes_is_a_hard_cap() -> None:
    pool = nump.BufferPool(max_bytes=4 * MIB)
    held = [pool.acquire(MIB) for _ in range(4)]
    with pytest.raises(nump.PoolExhaustedError, match="max_bytes") as caught:
        pool.acquire(1)
    assert isinstance(caught.value, MemoryError)
    begin = time.monotonic()
    with pytest.raises(nump.PoolExhaustedError, match="after"):
        pool.acquire(1, block=True, timeout_s=0.2)
    assert time.monotonic() - begin >= 0.19
    del held
    assert pool.acquire(4 * MIB).nbytes == 4 * MIB
    assert pool.statistics().total.high_water_bytes <= 4 * MIB


def test_what_can_never_fit_is_refused_at_once() -> None:
    pool = nump.BufferPool(max_bytes=MIB)
    with pytest.raises(nump.PoolExhaustedError, match="never fit") as caught:
        pool.acquire(2 * MIB, block=True)
    assert "block=True" not in str(caught.value)
    for ask in (
        lambda: pool.reserve(2 * MIB, 1),
        lambda: pool.ring(MIB, 2),
        lambda: nump.empty(2 * MIB, np.uint8, pool=pool),
        lambda: nump.stream(__file__, 2 * MIB, pool=pool),
    ):
        with pytest.raises(nump.PoolExhaustedError, match=r"never fit.*raise max_bytes"):
            ask()


def test_block_waits_for_a_buffer_that_comes_back() -> None:
    pool = nump.BufferPool(max_bytes=MIB)
    held = pool.acquire(MIB)
    threading.Timer(0.1, held.close).start()
    assert pool.acquire(MIB, block=True, timeout_s=30).nbytes == MIB


def test_retain_bytes_zero_retains_nothing() -> None:
    pool = nump.BufferPool(retain_bytes=0)
    pool.acquire(8 * MIB).close()
    assert pool.statistics().total.retained_bytes == 0
    assert pool.statistics().total.trimmed_bytes == 8 * MIB


def test_zero_on_reuse() -> None:
    for size in (4 * KIB, 100 * KIB, 3 * MIB):
        for zeroed in (False, True):
            pool = nump.BufferPool(zero_on_reuse=zeroed)
            first = pool.acquire(size)
            address = first.address
            np.frombuffer(first, np.uint8)[:] = 0xAB
            first.close()
            second = pool.acquire(size)
            assert second.address == address
            assert (np.frombuffer(second, np.uint8) == (0 if zeroed else 0xAB)).all()


def test_idle_blocks_go_in_the_background() -> None:
    pool = nump.BufferPool(idle_s=0.2)
    pool.acquire(8 * MIB).close()
    pool.acquire(4 * KIB).close()

    def gone() -> bool:
        total = pool.statistics().total
        # Both blocks were kept first. While one is given back it counts as neither.
        return total.retained_bytes == 0 and total.trimmed_bytes > 8 * MIB

    assert within_seconds(gone, 20), pool.statistics().total


def test_reserve_adds_blocks_and_tells_of_progress(pool: nump.BufferPool) -> None:
    told: list[tuple[int, int]] = []
    assert pool.reserve(MIB, 5, progress=lambda done, of: told.append((done, of))) == 5
    assert told == [(i, 5) for i in range(1, 6)]
    assert pool.statistics().total.retained_bytes == 5 * MIB
    assert pool.reserve(4 * KIB, 600) >= 600
    held = [pool.acquire(MIB) for _ in range(5)]
    total = pool.statistics().total
    assert (total.hits, total.misses) == (5, 0)
    assert pool.reserve(MIB, 0) == 0
    del held
    with pytest.raises(ValueError, match="count"):
        pool.reserve(MIB, -1)
    with pytest.raises(nump.NodeNotFoundError):
        pool.reserve(MIB, 1, 99)


def test_a_reserve_takes_no_block_of_its_own_to_make_room_for_the_next() -> None:
    with nump.BufferPool(max_bytes=4 * MIB) as pool, pool.acquire(MIB):
        pool.reserve(MIB // 2, 2)  # of another size: may make way
        with pytest.raises(nump.PoolExhaustedError):
            pool.reserve(MIB, 4)
        assert pool.statistics().total.retained_bytes == 3 * MIB  # what was added stays


def test_trim_says_what_went(pool: nump.BufferPool) -> None:
    live = pool.acquire(2 * MIB)
    np.frombuffer(live, np.uint8)[:] = 5
    pool.reserve(8 * MIB, 4)
    assert pool.trim(at_least_bytes=10 * MIB) == 16 * MIB
    assert pool.trim(0) == 0
    assert pool.trim(node=live.node_id) == 16 * MIB
    assert pool.trim() == 0
    assert (np.frombuffer(live, np.uint8) == 5).all()
    with pytest.raises(ValueError, match="at_least_bytes"):
        pool.trim(-1)
    with pytest.raises(nump.NodeNotFoundError):
        pool.trim(node=99)


def test_statistics_are_fit_for_json(pool: nump.BufferPool) -> None:
    held = pool.acquire(5 * MIB)
    seen = pool.statistics()
    assert set(seen.by_node) == {node.node_id for node in pool.allocator.topology.nodes}
    assert seen.total.in_use_bytes == sum(one.in_use_bytes for one in seen.by_node.values())
    assert seen.to_dict()["total"]["misses"] == 1
    assert nump.BufferPool().statistics().total.hit_rate is None
    del held


def test_closing_leaves_buffers_valid(pool: nump.BufferPool) -> None:
    with pool:
        large, small = pool.acquire(4 * MIB), pool.acquire(8 * KIB)
        views = [np.frombuffer(one, np.uint8) for one in (large, small)]
        for view in views:
            view[:] = 3
    assert pool.closed
    assert repr(pool) == f"<BufferPool {pool.name!r}, closed>"
    pool.close()
    with pytest.raises(ValueError, match="pool is closed"):
        pool.acquire(1)
    with pytest.raises(ValueError, match="pool is closed"), pool:
        pass
    del pool, large, small
    gc.collect()
    for view in views:
        assert (view == 3).all()
        view[:] = 4


def test_a_pool_can_be_collected_before_its_buffers() -> None:
    pool = nump.BufferPool()
    gone = weakref.ref(pool)
    buffer = pool.acquire(MIB)
    del pool
    assert gone() is None
    np.frombuffer(buffer, np.uint8)[:] = 1
    buffer.close()


def test_a_pool_that_was_never_opened() -> None:
    bare = nump.BufferPool.__new__(nump.BufferPool)
    with pytest.raises(ValueError, match="never opened"):
        bare.acquire(1)
    with pytest.raises(ValueError, match="never opened"):
        bare.trim()
    again = nump.BufferPool()
    with pytest.raises(ValueError, match="opened before"):
        again.__init__()  # type: ignore[misc]
    assert again.acquire(1).nbytes == 1


def test_arrays_from_a_pool(pool: nump.BufferPool) -> None:
    first = nump.full((300, 300), 7.0, pool=pool)
    address = first.__array_interface__["data"][0]
    del first
    second = nump.empty((300, 300), pool=pool)
    assert second.__array_interface__["data"][0] == address
    assert (second == 7.0).all()
    view = second[5:10]
    del second
    gc.collect()
    assert pool.statistics().total.in_use_bytes
    del view
    zeros = nump.zeros((300, 300), pool=pool)
    assert zeros.__array_interface__["data"][0] == address
    assert not zeros.any()
    assert nump.asarray([1, 2, 3], pool=pool).tolist() == [1, 2, 3]
    with pytest.raises(TypeError, match="pool must be None where allocator or page_size is given"):
        nump.empty(3, pool=pool, page_size="base")


def test_subclasses_work() -> None:
    class Named(nump.BufferPool):
        name = "x"

    pool = Named()
    pool.extra = 1  # type: ignore[attr-defined]
    assert pool.acquire(1).nbytes == 1


def test_hundreds_of_thousands_of_small_buffers(pool: nump.BufferPool) -> None:
    """Mappings of their own would run into vm.max_map_count, where even munmap fails."""
    size = mmap.PAGESIZE  # the smallest block
    half = 100_000 * 4096 // size  # of the same memory, however large pages are
    buffers = [pool.acquire(size) for _ in range(2 * half)]
    for number, buffer in enumerate(buffers):
        memoryview(buffer)[:4] = number.to_bytes(4, "little")
    for buffer in buffers[::2]:
        buffer.close()
    assert pool.trim() >= half * size
    for number, buffer in enumerate(buffers):
        if number % 2:
            assert bytes(memoryview(buffer)[:4]) == number.to_bytes(4, "little")
    again = [pool.acquire(size) for _ in range(half)]
    assert not any(bytes(memoryview(buffer)[:4]) != bytes(4) for buffer in again)
    assert pool.statistics().total.in_use_bytes == 2 * half * size

"""NodeBuffer.hold(): nobody moves or frees what a device knows the address of."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import numapool as nump

MIB = 1 << 20


def test_close_and_migrate_are_refused_until_it_is_released(
    allocator: nump.NumaAllocator, node: int
) -> None:
    buffer = allocator.allocate(4 * MIB, node)
    with buffer.hold() as held:
        assert (held.address, held.nbytes) == (buffer.address, 4 * MIB)
        with pytest.raises(BufferError, match="holds"):
            buffer.close()
        with pytest.raises(BufferError, match="held"):
            buffer.migrate(node)
        with pytest.raises(BufferError, match="held"):
            nump.move(buffer, node)
        assert not held.released
    assert held.released
    with pytest.raises(ValueError, match="released"):
        _ = held.address
    buffer.migrate(node)
    buffer.close()
    with pytest.raises(ValueError, match="closed"):
        buffer.hold()


def test_any_array_of_the_memory_stays(allocator: nump.NumaAllocator, node: int) -> None:
    buffer = allocator.allocate(4 * MIB, node)
    array = np.frombuffer(buffer, np.uint8)
    with buffer.hold(), pytest.raises(BufferError, match="held"):
        nump.move(array[MIB : 2 * MIB], node)
    assert nump.move(array, node).placement.bytes_by_node == {node: 4 * MIB}


def test_the_pool_neither_gets_nor_trims_it(node: int) -> None:
    with nump.BufferPool() as pool:
        buffer = pool.acquire(4 * MIB, node)
        memoryview(buffer)[:4] = b"kept"
        held = buffer.hold()
        with buffer:
            pass  # closes when the last view goes
        del buffer
        gc.collect()
        assert pool.trim() == 0
        assert pool.statistics().total.in_use_bytes >= 4 * MIB
        assert pool.acquire(4 * MIB, node).address != held.address
        held.release()
        held.release()
        assert pool.statistics().total.in_use_bytes == 0
        assert pool.trim() >= 4 * MIB


def test_holds_nest_and_end_when_dropped(allocator: nump.NumaAllocator, node: int) -> None:
    buffer = allocator.allocate(MIB, node)
    first, second = buffer.hold(), buffer.hold()
    first.release()
    with pytest.raises(BufferError):
        buffer.migrate(node)
    del second
    gc.collect()
    buffer.migrate(node)
    buffer.close()


def test_a_hold_keeps_a_dropped_buffer(allocator: nump.NumaAllocator) -> None:
    buffer = allocator.allocate(MIB)
    view_of = np.frombuffer(buffer, np.uint8)
    view_of[:] = 7
    held = buffer.hold()
    del buffer
    gc.collect()
    assert view_of[MIB - 1] == 7
    del view_of
    held.release()


def test_a_small_block_holds_its_huge_page(node: int) -> None:
    with nump.BufferPool() as pool:
        first, second = pool.acquire(4096, node), pool.acquire(4096, node)
        shares = first.address // (2 * MIB) == second.address // (2 * MIB)
        with first.hold():
            if shares and first.placement().page_size_bytes > 4096:
                with pytest.raises(BufferError, match="held"):
                    second.migrate(node)
            with pytest.raises(BufferError, match="held"):
                first.migrate(node)
        second.migrate(node)
        del first, second


def test_threads_never_move_what_is_held(allocator: nump.NumaAllocator, node: int) -> None:
    buffer = allocator.allocate(MIB, node)
    refused = []

    def hold_and_release() -> None:
        for _ in range(50):
            try:
                held = buffer.hold()
            except BufferError:
                continue  # it is being moved
            try:
                buffer.migrate(node)
            except BufferError:
                refused.append(True)
            else:
                refused.append(False)
            held.release()

    threads = [threading.Thread(target=hold_and_release) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(refused)
    buffer.close()

"""migrate() moves a live buffer and keeps its bytes; memory_policy() steers other memory."""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import numapool as nump
from numapool.memory.allocator import PageSize

from .harness.machine import Machine
from .support import balancing, pages, policy
from .support.children import in_child
from .support.nodes import MIB, on_cpus, unused_bytes, wait_unused

pytestmark = pytest.mark.machine("two_equal", "small_beside_big", "two_equal_612")


_SYS_MOVE_PAGES = 279


@pytest.fixture(scope="module")
def allocator() -> nump.NumaAllocator:
    return nump.NumaAllocator()


def _digest(view: memoryview) -> str:
    return hashlib.blake2b(view).hexdigest()


@pytest.mark.parametrize("page_size", ["base", "transparent"])
def test_bytes_stay_the_same(
    machine: Machine, allocator: nump.NumaAllocator, page_size: PageSize
) -> None:
    with allocator.allocate(24 * MIB, 0, page_size=page_size) as buffer:
        with memoryview(buffer) as view:
            for at in range(0, len(view), MIB):
                view[at : at + MIB] = os.urandom(4096) * 256
            before, address = _digest(view), buffer.address
            told = buffer.migrate(1)
            assert _digest(view) == before
        assert buffer.address == address
        assert pages.bytes_by_node(buffer) == {1: 24 * MIB}
        assert told.placement.bytes_by_node == {1: 24 * MIB} == buffer.placement().bytes_by_node
        assert buffer.node_id == 1
        assert buffer.step is nump.AllocationStep.PREFERRED
        buffer.migrate(0)
        assert pages.bytes_by_node(buffer) == {0: 24 * MIB}
        with memoryview(buffer) as view:
            assert _digest(view) == before


def test_memory_of_the_old_node_is_free_again(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    with allocator.allocate(64 * MIB, 1, strict=True) as buffer:
        before = unused_bytes(1)
        buffer.migrate(0)
        assert wait_unused(1, before + 56 * MIB) >= before + 56 * MIB


def test_pages_touched_later_follow_the_new_node(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    with allocator.allocate(8 * MIB, 0, populate=False, page_size="base") as buffer:
        with memoryview(buffer) as view:
            view[0] = 1
            buffer.migrate(1)
            with on_cpus({0}):
                view[:: pages.PAGE_BYTES] = b"x" * (8 * MIB // pages.PAGE_BYTES)
        assert pages.bytes_by_node(buffer) == {1: 8 * MIB}


def test_absent_node_is_refused(machine: Machine, allocator: nump.NumaAllocator) -> None:
    with allocator.allocate(MIB, 1) as buffer:
        with pytest.raises(nump.NodeNotFoundError):
            buffer.migrate(7)
        assert pages.bytes_by_node(buffer) == {1: MIB}


@pytest.mark.machine("small_beside_big")
def test_more_than_the_node_holds_moves_what_fits(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    size = 320 * MIB
    with allocator.allocate(size, 0, page_size="base") as buffer:
        with memoryview(buffer) as view:
            view[:8] = b"sentinel"
            view[-8:] = b"sentinel"
            told = buffer.migrate(1)
            assert bytes(view[:8]) == bytes(view[-8:]) == b"sentinel"
        found = pages.bytes_by_node(buffer)
        assert sum(found.values()) == size
        assert found == told.placement.bytes_by_node
        assert found.get(0, 0) > 0
        assert buffer.step is nump.AllocationStep.ANY


def _touched(size: int = 8 * MIB) -> dict[int, int]:
    memory = policy.Memory(size)
    memory.touch()
    found = pages.bytes_by_node(memory)
    memory.close()
    return found


def test_memory_policy_prefers_a_node_and_ends(machine: Machine) -> None:
    with on_cpus({0}):
        with nump.memory_policy(1):
            assert _touched() == {1: 8 * MIB}
        assert _touched() == {0: 8 * MIB}


def test_memory_policy_interleaves(machine: Machine) -> None:
    with on_cpus({0}), nump.memory_policy([0, 1], mode="interleave"):
        found = _touched(16 * MIB)
    assert set(found) == {0, 1}
    assert abs(found[0] - found[1]) <= 2 * MIB


def test_memory_policy_local_overrides_an_outer_one(machine: Machine) -> None:
    with on_cpus({0}), nump.memory_policy(1):
        with nump.memory_policy(mode="local"):
            assert _touched() == {0: 8 * MIB}
        assert _touched() == {1: 8 * MIB}


@pytest.mark.machine("two_equal")
@pytest.mark.parametrize("advice", [mmap.MADV_NOHUGEPAGE, mmap.MADV_HUGEPAGE])
def test_pages_that_automatic_balancing_marks_are_seen_and_moved(
    machine: Machine, advice: int
) -> None:
    """Linux 6.1 calls them absent. A look leaves them where they are."""

    def marked() -> policy.Memory:
        memory = policy.Memory(8 * MIB)
        memory.advise(advice)
        with on_cpus({0}):
            memory.touch()
        os.sched_setaffinity(0, {2})
        assert balancing.wait_hidden(memory) >= 4 * MIB
        return memory

    def look() -> object:
        memory = marked()
        seen = nump.placement_of(memory.map)
        assert seen.not_resident_bytes == seen.unknown_bytes == 0
        return [seen.bytes_by_node, pages.bytes_by_node(memory)]

    def move() -> object:
        memory = marked()
        report = nump.migrate(memory.map, 1)
        assert report.complete and not report.kept_bytes
        return [report.placement.bytes_by_node, pages.bytes_by_node(memory)]

    with balancing.quick():
        looked, moved = in_child(look), in_child(move)
    assert (looked.error, looked.result) == (None, [{"0": 8 * MIB}] * 2)
    assert (moved.error, moved.result) == (None, [{"1": 8 * MIB}] * 2)


@contextmanager
def _moving(buffer: nump.NodeBuffer) -> Iterator[list[int]]:
    """Have a thread move the buffer's pages from node to node; counts how often it did."""
    libc = ctypes.CDLL(None, use_errno=True)
    count = buffer.nbytes // pages.PAGE_BYTES
    addresses = (ctypes.c_void_p * count)(
        *range(buffer.address, buffer.address + buffer.nbytes, pages.PAGE_BYTES)
    )
    targets = [(ctypes.c_int * count)(*[node] * count) for node in (1, 0)]
    status = (ctypes.c_int * count)()
    turns: list[int] = []
    end = threading.Event()

    def move() -> None:
        while not end.is_set():
            for nodes in targets:
                libc.syscall(_SYS_MOVE_PAGES, 0, ctypes.c_ulong(count), addresses, nodes, status, 2)
            turns.append(1)

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield turns
    finally:
        end.set()
        thread.join()


@pytest.mark.machine("two_equal", "two_equal_612")
def test_pages_that_the_kernel_is_moving_are_seen(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    """Their entries in the page table are of the kind that pages in swap have."""
    with allocator.allocate(8 * MIB, 0, page_size="base") as buffer:
        looks: list[nump.Placement] = []
        with _moving(buffer) as turns:
            while len(turns) < 2 or len(looks) < 8:
                looks.append(buffer.placement())
        for seen in looks:
            assert seen.not_resident_bytes == seen.unknown_bytes == 0
            assert sum(seen.bytes_by_node.values()) == 8 * MIB

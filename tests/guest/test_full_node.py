"""A node that is full, of whatever: strict is exact or raises, the default goes on, nobody is
killed.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterator

import pytest

import numapool as nump
from numapool.memory.allocator import PageSize

from .harness.machine import Machine
from .support import page_cache, pages, policy
from .support.children import beside_child
from .support.kernel_log import KernelLog
from .support.nodes import (
    MIB,
    drop_caches,
    free_bytes,
    meminfo,
    setting,
    settled_unused,
    unused_bytes,
    wait_unused,
)

pytestmark = pytest.mark.machine("small_beside_big", "small_beside_big_612")

_SMALL = 1
_MADV_DONTNEED_LOCKED = 24


@pytest.fixture(autouse=True)
def nobody_is_killed() -> Iterator[None]:
    drop_caches()
    log = KernelLog()
    yield
    kills = log.oom_kills()
    log.close()
    assert kills == []


@pytest.fixture(scope="module")
def allocator() -> nump.NumaAllocator:
    return nump.NumaAllocator()


def test_strict_beyond_the_node_says_why_and_keeps_nothing(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    before = {node: unused_bytes(node) for node in (0, 1)}
    with pytest.raises(nump.PlacementError, match="node 1") as caught:
        allocator.allocate(400 * MIB, _SMALL, strict=True)
    assert isinstance(caught.value, MemoryError)
    for node in (0, 1):
        assert wait_unused(node, before[node] - 8 * MIB) >= before[node] - 8 * MIB


@pytest.mark.parametrize("spare_mib", [-40, 0, 24])
def test_a_node_that_is_left_out_gets_nothing_that_does_not_fit(
    machine: Machine, spare_mib: int
) -> None:
    """As the memory of a device is: the kernel would go on there."""
    allocator = nump.NumaAllocator(nump.NumaTopology.detect(default_nodes=_SMALL))
    size = free_bytes(_SMALL) - spare_mib * MIB
    try:
        with allocator.allocate(size, _SMALL) as buffer:
            assert pages.bytes_by_node(buffer) == {_SMALL: pages.rounded_up(size)}
    except MemoryError as error:
        assert "node 0" in str(error)
        assert "used only if you name it" in str(error)
    with allocator.allocate_interleaved(8 * MIB) as spread:
        assert set(pages.bytes_by_node(spread)) == {_SMALL}
    with allocator.allocate(8 * MIB, 0) as named:
        assert set(pages.bytes_by_node(named)) == {0}


@pytest.mark.parametrize("page_size", ["base", "auto"])
@pytest.mark.parametrize("spare_mib", [-16, -4, 0, 2, 8, 24])
def test_strict_at_the_edge_is_exact_or_refused(
    machine: Machine, allocator: nump.NumaAllocator, page_size: PageSize, spare_mib: int
) -> None:
    before = unused_bytes(_SMALL)
    size = free_bytes(_SMALL) - spare_mib * MIB
    try:
        with allocator.allocate(size, _SMALL, strict=True, page_size=page_size) as buffer:
            assert set(pages.bytes_by_node(buffer)) == {_SMALL}
    except nump.PlacementError as error:
        assert error.bytes_by_node == {} or set(error.bytes_by_node) == {0, _SMALL}
        for bytes_there in error.bytes_by_node.values():
            assert 0 < bytes_there < size
    assert wait_unused(_SMALL, before - 8 * MIB) >= before - 8 * MIB


@pytest.mark.parametrize("page_size", ["base", "auto"])
@pytest.mark.parametrize("spare_mib", [-4, 0, 2, 4, 6, 8, 10])
def test_step_of_the_default_is_true_at_the_edge(
    machine: Machine, allocator: nump.NumaAllocator, page_size: PageSize, spare_mib: int
) -> None:
    size = free_bytes(_SMALL) - spare_mib * MIB
    with allocator.allocate(size, _SMALL, page_size=page_size) as buffer:
        found = set(pages.bytes_by_node(buffer))
        expected = {
            nump.AllocationStep.PREFERRED: {_SMALL},
            nump.AllocationStep.NEAREST: {0},
            nump.AllocationStep.ANY: {0, _SMALL},
        }
        assert found == expected[buffer.step]


def test_default_beyond_the_node_goes_to_the_nearest_whole(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    with allocator.allocate(400 * MIB, _SMALL) as buffer:
        assert buffer.step is nump.AllocationStep.NEAREST
        assert buffer.requested_node == _SMALL
        assert buffer.node_id == 0
        assert pages.bytes_by_node(buffer) == {0: 400 * MIB} == buffer.placement().bytes_by_node


def test_more_than_any_node_is_split(machine: Machine, allocator: nump.NumaAllocator) -> None:
    for node in (0, 1):  # what lies in lists of CPUs, from Linux 6.7 on an eighth, is not available
        settled_unused(node)
    size = free_bytes(0) + 24 * MIB
    with allocator.allocate(size, 0) as buffer:
        found = pages.bytes_by_node(buffer)
        assert buffer.step is nump.AllocationStep.ANY
        assert set(found) == {0, 1}
        assert sum(found.values()) == pages.rounded_up(size)
        told = buffer.placement()
        assert set(told.bytes_by_node) == {0, 1}
        assert told.not_resident_bytes == 0
        assert abs(told.bytes_by_node[1] - found[1]) <= 2 * MIB
        assert buffer.node_id == 0


def test_more_than_the_machine_is_refused_before_a_page_is_touched(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    before = settled_unused(0) + settled_unused(1)
    for strict in (False, True):
        with pytest.raises(MemoryError) as caught:
            allocator.allocate(4096 * MIB, 0, strict=strict)
        assert not isinstance(caught.value, nump.PlacementError)
    assert unused_bytes(0) + unused_bytes(1) > before - 8 * MIB


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("page_size", ["base", "auto"])
def test_clean_page_cache_makes_way(
    machine: Machine, allocator: nump.NumaAllocator, strict: bool, page_size: PageSize
) -> None:
    cached = page_cache.fill(_SMALL)
    assert cached > 32 * MIB
    # About half of the cache goes, whatever else lies on the node.
    size = (free_bytes(_SMALL) + cached // 2) // (2 * MIB) * 2 * MIB
    before = meminfo(_SMALL)
    with allocator.allocate(size, _SMALL, strict=strict, page_size=page_size) as buffer:
        assert pages.bytes_by_node(buffer) == {_SMALL: size}, (cached, before, meminfo(_SMALL))
        assert buffer.placement().bytes_by_node == {_SMALL: size}
        assert buffer.step is nump.AllocationStep.PREFERRED
        assert pages.numa_maps(buffer).policy.startswith("prefer")


def _hold_most_of_small_node() -> int:
    memory = policy.Memory(free_bytes(_SMALL) - 40 * MIB)
    memory.bind(_SMALL)
    memory.touch()
    return memory.nbytes


def test_node_held_by_another_process(machine: Machine, allocator: nump.NumaAllocator) -> None:
    with beside_child(_hold_most_of_small_node):
        with pytest.raises(nump.PlacementError):
            allocator.allocate(80 * MIB, _SMALL, strict=True)
        with allocator.allocate(80 * MIB, _SMALL) as buffer:
            assert buffer.step is nump.AllocationStep.NEAREST
            assert pages.bytes_by_node(buffer) == {0: 80 * MIB}
        with allocator.allocate(4 * MIB, _SMALL, strict=True) as buffer:
            assert pages.bytes_by_node(buffer) == {_SMALL: 4 * MIB}


def test_threads_that_race_for_the_node(machine: Machine, allocator: nump.NumaAllocator) -> None:
    size = free_bytes(_SMALL) * 2 // 3
    outcomes: list[object] = []

    def request() -> None:
        try:
            outcomes.append(allocator.allocate(size, _SMALL, strict=True))
        except nump.PlacementError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=request) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    placed = [outcome for outcome in outcomes if isinstance(outcome, nump.NodeBuffer)]
    assert len(outcomes) == 3 and len(placed) <= 1
    for buffer in placed:
        assert set(pages.bytes_by_node(buffer)) == {_SMALL}
        buffer.close()


def _fragment_small_node() -> int:
    """Leave the memory free in single pages only, and keep compaction from mending it.

    24 MiB stay untouched: the bind is a strict one, and the kernel keeps up to 14 MiB for itself.
    """
    memory = policy.Memory(free_bytes(_SMALL) - 24 * MIB)
    memory.bind(_SMALL)
    memory.advise(mmap.MADV_NOHUGEPAGE)
    memory.touch()
    memory.lock()
    for start in range(0, memory.nbytes, 2 * pages.PAGE_BYTES):
        memory.advise(_MADV_DONTNEED_LOCKED, start, pages.PAGE_BYTES)
    return memory.nbytes // 2


def test_fragmented_node_gives_base_pages_instead_of_remote_huge_ones(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    with (
        setting("/proc/sys/vm/compact_unevictable_allowed", "0"),
        beside_child(_fragment_small_node) as freed,
    ):
        assert freed > 32 * MIB
        size = freed * 3 // 4 // (2 * MIB) * 2 * MIB  # it fits, whatever else lies on the node
        plain = policy.Memory(size)
        plain.bind(_SMALL, policy.MPOL_PREFERRED)
        plain.advise(mmap.MADV_HUGEPAGE)
        plain.touch()
        assert pages.bytes_by_node(plain).get(0, 0) > size // 4, "the hazard itself was not built"
        plain.close()
        for strict in (True, False):
            with allocator.allocate(size, _SMALL, strict=strict) as buffer:
                assert pages.bytes_by_node(buffer) == {_SMALL: size}
                assert buffer.step is nump.AllocationStep.PREFERRED

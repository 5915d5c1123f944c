"""Allocation on the machine that runs the tests: sizes, page sizes, the step, strict, errors."""

from __future__ import annotations

import itertools
import mmap
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import child, own, systems

import numapool as nump

MIB = 1 << 20


def page_sizes(*more: nump.PageSize) -> tuple[nump.PageSize, ...]:
    """Page sizes that can be had here by name: no system but Linux makes transparent huge pages."""
    return ("base", *(("transparent",) if systems.ON_LINUX else ()), *more)


@pytest.mark.parametrize(
    "size", [1, 4095, 4096, 4097, 65536, MIB, 2 * MIB - 1, 2 * MIB, 5 * MIB + 1, 64 * MIB]
)
def test_every_size_lands_on_the_node_zeroed_and_writable(
    allocator: nump.NumaAllocator, node: int, size: int
) -> None:
    with allocator.allocate(size, node) as buffer:
        assert len(buffer) == buffer.nbytes == size
        assert buffer.address % mmap.PAGESIZE == 0
        assert (buffer.requested_node, buffer.node_id, buffer.bound) == (node, node, True)
        assert buffer.step is nump.AllocationStep.PREFERRED
        array = np.frombuffer(buffer, np.uint8)
        assert not array.any()
        array[:] = 0xA5
        assert int(array.sum(dtype=np.uint64)) == 0xA5 * size
        del array


@pytest.mark.parametrize("page_size", page_sizes("auto"))
def test_placement_counts_every_byte(
    allocator: nump.NumaAllocator, node: int, page_size: nump.PageSize
) -> None:
    size = 32 * MIB
    with allocator.allocate(size, node, page_size=page_size, strict=True) as buffer:
        seen = buffer.placement()
        assert seen.bytes_by_node == {node: size}
        assert seen.not_resident_bytes == seen.unknown_bytes == 0
        assert seen.resident_bytes == size
        if page_size == "base":
            assert seen.page_size_bytes == mmap.PAGESIZE


def test_numa_maps_counts_the_same_bytes() -> None:
    # In a process of its own: a neighbour with the same policy would share the line in numa_maps.
    out = child.check(
        """
        import numapool as nump
        from support import numa_maps
        size = 32 << 20
        with nump.NumaAllocator().allocate(size, strict=True) as buffer:
            counted = numa_maps.bytes_by_node(buffer.address, buffer.address + size)
            print(counted == buffer.placement().bytes_by_node == {buffer.node_id: size}, counted)
        """
    )
    assert out.startswith("True"), out


@pytest.mark.parametrize("size", [0, -1, -(2**70)])
def test_sizes_that_are_none_raise_value_error(allocator: nump.NumaAllocator, size: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        allocator.allocate(size)
    with pytest.raises(ValueError, match="at least 1"):
        allocator.allocate_interleaved(size)


@pytest.mark.parametrize("exponent", [46, 47, 62, 63, 64, 70, 1000])
@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("populate", [True, False])
def test_absurd_sizes_raise_memory_error(
    allocator: nump.NumaAllocator, exponent: int, offset: int, populate: bool
) -> None:
    for page_size in page_sizes("auto"):
        with pytest.raises(MemoryError):
            allocator.allocate(2**exponent + offset, page_size=page_size, populate=populate)
    with pytest.raises(MemoryError):
        allocator.allocate_interleaved(2**exponent + offset, populate=populate)


def test_more_than_available_is_refused_before_a_page_is_touched(
    allocator: nump.NumaAllocator,
) -> None:
    least = nump._core.available()
    before = own.held().resident_bytes
    with pytest.raises(MemoryError, match="are available to this process") as caught:
        allocator.allocate(least.size_bytes + (512 << 20))
    assert not isinstance(caught.value, nump.NumapoolError)
    assert least.limit.split(" ")[0] in str(caught.value)
    assert own.held().resident_bytes - before < 16 * MIB


@pytest.mark.parametrize("size", [1.5, b"4096", None, [1]])
def test_sizes_that_are_no_integers_raise_type_error(
    allocator: nump.NumaAllocator, size: object
) -> None:
    with pytest.raises(TypeError):
        allocator.allocate(size)  # type: ignore[arg-type]


def test_integer_like_arguments_work(allocator: nump.NumaAllocator, node: int) -> None:
    with allocator.allocate(np.int64(4096), np.uint8(node)) as buffer:
        assert buffer.nbytes == 4096


@pytest.mark.parametrize("missing", [-1, 1023, 1024, 2**31, 2**63, 2**64, -(2**63) - 1])
def test_unknown_nodes_are_named_with_those_that_exist(
    allocator: nump.NumaAllocator, missing: int
) -> None:
    for call in (
        lambda: allocator.allocate(4096, missing),
        lambda: allocator.allocate_interleaved(4096, [missing]),
        lambda: nump.memory_policy(missing),
    ):
        with pytest.raises(nump.NodeNotFoundError, match="this machine has: ") as caught:
            call()
        assert isinstance(caught.value, ValueError)
        for known in allocator.topology.nodes:
            assert str(known.node_id) in str(caught.value)


def test_without_a_node_the_calling_threads_is_used(allocator: nump.NumaAllocator) -> None:
    allowed = os.sched_getaffinity(0)
    try:
        for cpu in sorted(allowed)[:4]:
            os.sched_setaffinity(0, {cpu})
            with allocator.allocate(65536) as buffer:
                assert buffer.requested_node == allocator.topology.node_of_cpu(cpu)
    finally:
        os.sched_setaffinity(0, allowed)


def test_without_populate_nothing_is_resident_until_touched(
    allocator: nump.NumaAllocator, node: int
) -> None:
    with allocator.allocate(8 * MIB, node, populate=False, page_size="base") as buffer:
        assert buffer.placement().not_resident_bytes == 8 * MIB
        assert (buffer.step, buffer.node_id) == (nump.AllocationStep.PREFERRED, node)
        memoryview(buffer)[0] = 1
        assert buffer.placement().bytes_by_node == {node: mmap.PAGESIZE}


def test_strict_without_populate_is_refused(allocator: nump.NumaAllocator, node: int) -> None:
    with pytest.raises(ValueError, match="strict=True needs populate=True"):
        allocator.allocate(4096, node, strict=True, populate=False)


@pytest.mark.parametrize(
    "page_size", ["huge", "", "2M", "0MiB", 0, -4096, 12345, "12345 bytes", 2**63, 2**64]
)
def test_page_sizes_that_are_none_raise_value_error(
    allocator: nump.NumaAllocator, page_size: Any
) -> None:
    with pytest.raises(ValueError, match="page_size must be"):
        allocator.allocate(4096, page_size=page_size)


@pytest.mark.parametrize("page_size", [8192, "8KiB", "8 kib"])
def test_hugetlb_sizes_the_machine_lacks_are_refused_with_those_it_has(
    allocator: nump.NumaAllocator, page_size: Any
) -> None:
    with pytest.raises(
        nump.UnsupportedError, match="this machine has no huge pages of 8192 bytes"
    ) as caught:
        allocator.allocate(4096, page_size=page_size)
    assert isinstance(caught.value, OSError)


def test_hugetlb_pages_that_are_not_reserved_say_how_to_reserve_them(
    allocator: nump.NumaAllocator,
) -> None:
    pools = nump._core.hugetlb_pools()
    empty = [pool.page_bytes for pool in pools if pool.total_pages == 0]
    if not empty:
        pytest.skip("every huge page size of this machine has reserved pages")
    remedy = "nr_hugepages" if systems.ON_LINUX else "Lock pages in memory"
    with pytest.raises(nump.UnsupportedError, match=f"none are reserved.*{remedy}"):
        allocator.allocate(4096, page_size=empty[0])


def test_locked_memory_counts_as_locked(allocator: nump.NumaAllocator, node: int) -> None:
    def locked_kib() -> int:
        with Path("/proc/self/status").open() as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmLck:"))

    before = locked_kib()
    with allocator.allocate(65536, node, mlock=True) as buffer:
        assert buffer.locked
        assert locked_kib() - before == 64
    assert locked_kib() == before


def test_a_lock_that_is_refused_raises_with_the_limit_to_raise() -> None:
    out = child.check(
        """
        import numapool as nump
        from support import seccomp
        seccomp.refuse(["mlock", "mlock2"], 1)
        try:
            nump.NumaAllocator().allocate(1 << 20, mlock=True)
        except OSError as error:
            print(error.errno, "mlock" in str(error), "RLIMIT_MEMLOCK" in str(error))
        """
    )
    assert out.split() == ["1", "True", "True"]


def test_interleaved_over_all_nodes_is_spread_equally(allocator: nump.NumaAllocator) -> None:
    usable = allocator.topology.nearest(allocator.topology.nodes[0].node_id)
    with allocator.allocate_interleaved(16 * MIB, strict=True, page_size="base") as buffer:
        assert (buffer.requested_node, buffer.node_id) == (None, None)
        assert buffer.step is nump.AllocationStep.PREFERRED
        shares = buffer.placement().bytes_by_node
        assert set(shares) == set(usable)
        assert max(shares.values()) - min(shares.values()) <= mmap.PAGESIZE


@pytest.mark.parametrize("weights", ["even", {0: 0}, {0: 256}, {}, {0: -1}])
def test_weights_that_are_none_raise_value_error(
    allocator: nump.NumaAllocator, weights: object
) -> None:
    with pytest.raises(ValueError, match="weight"):
        allocator.allocate_interleaved(4096, weights=weights)  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", [[1], 3, b"system"])
def test_weights_of_another_kind_raise_type_error(
    allocator: nump.NumaAllocator, weights: object
) -> None:
    with pytest.raises(TypeError, match="mapping of node to weight, not"):
        allocator.allocate_interleaved(4096, weights=weights)  # type: ignore[arg-type]


def test_an_empty_list_of_nodes_is_refused(allocator: nump.NumaAllocator) -> None:
    with pytest.raises(ValueError, match="at least one node"):
        allocator.allocate_interleaved(4096, [])


def test_migrate_to_where_it_is_keeps_every_byte(allocator: nump.NumaAllocator, node: int) -> None:
    with allocator.allocate(4 * MIB + mmap.PAGESIZE, node) as buffer:
        view = np.frombuffer(buffer, np.uint8)
        view[:] = np.arange(len(view), dtype=np.uint64).astype(np.uint8)
        expected = view.copy()
        address = buffer.address
        assert buffer.migrate(node).placement.bytes_by_node == {node: buffer.nbytes}
        assert buffer.address == address
        assert (view == expected).all()
        with pytest.raises(nump.NodeNotFoundError):
            buffer.migrate(999)
        with pytest.raises(nump.NodeNotFoundError):
            buffer.migrate(2**80)
        with pytest.raises(TypeError):
            buffer.migrate(1.5)  # type: ignore[arg-type]
        assert (view == expected).all()
        del view


def test_repr_tells_size_place_and_step(allocator: nump.NumaAllocator, node: int) -> None:
    buffer = allocator.allocate(3 * MIB, node)
    where = f"on node {node} (asked: {node}, step PREFERRED) at {buffer.address:#x}"
    assert repr(buffer) == f"<NodeBuffer 3 MiB {where}>"
    buffer.close()
    assert repr(buffer) == "<NodeBuffer 3 MiB, closed>"
    assert "NumaAllocator" in repr(allocator)


@pytest.mark.skipif(sys.platform != "linux", reason="numa_maps is Linux's")
def test_many_buffers_from_many_threads_do_not_overlap(allocator: nump.NumaAllocator) -> None:
    import concurrent.futures

    def work(seed: int) -> list[nump.NodeBuffer]:
        buffers = [allocator.allocate(4096 * (1 + (seed + k) % 7)) for k in range(50)]
        for k, buffer in enumerate(buffers):
            memoryview(buffer)[:] = bytes([(seed + k) % 251]) * buffer.nbytes
        return buffers

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(16)))
    spans = sorted((b.address, b.address + b.nbytes) for buffers in results for b in buffers)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
    for seed, buffers in enumerate(results):
        for k, buffer in enumerate(buffers):
            assert bytes(buffer) == bytes([(seed + k) % 251]) * buffer.nbytes

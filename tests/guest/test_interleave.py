"""Interleaved memory: evenly, and by the kernel's weights where it has them (Linux 6.9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

import numapool as nump

from .harness.machine import Machine
from .support import pages
from .support.nodes import MIB
from .support.pages import PAGE_BYTES

pytestmark = pytest.mark.machine("four_asymmetric", "two_equal_612")

_WEIGHTS = Path("/sys/kernel/mm/mempolicy/weighted_interleave")


@contextmanager
def weights(table: Mapping[int, int]) -> Iterator[None]:
    """The kernel's table with these weights; 0 restores a node's default."""
    for node, weight in table.items():
        (_WEIGHTS / f"node{node}").write_text(str(weight))
    try:
        yield
    finally:
        for node in table:
            (_WEIGHTS / f"node{node}").write_text("0")


@pytest.fixture(scope="module")
def allocator() -> nump.NumaAllocator:
    return nump.NumaAllocator()


@pytest.fixture(scope="module")
def all_nodes(machine: Machine) -> list[int]:
    return [node.node_id for node in machine.online_nodes]


def test_even_over_all_nodes(
    machine: Machine, allocator: nump.NumaAllocator, all_nodes: list[int]
) -> None:
    size = 32 * MIB
    with allocator.allocate_interleaved(size, page_size="base") as buffer:
        share = size // len(all_nodes)
        assert pages.bytes_by_node(buffer) == dict.fromkeys(all_nodes, share)
        line = pages.numa_maps(buffer)
        assert line.policy.startswith("interleave")
        assert line.bytes_by_node == dict.fromkeys(all_nodes, share)
        assert buffer.placement().bytes_by_node == dict.fromkeys(all_nodes, share)
        assert buffer.step is nump.AllocationStep.PREFERRED
        assert buffer.requested_node is None
        assert buffer.node_id is None


def test_each_page_goes_to_the_next_node(
    machine: Machine, allocator: nump.NumaAllocator, all_nodes: list[int]
) -> None:
    chosen = all_nodes[-2:]
    with allocator.allocate_interleaved(64 * PAGE_BYTES, chosen, page_size="base") as buffer:
        nodes, per_block = pages.node_of_frame(), pages.frames_per_block()
        found = [nodes[frame // per_block] for frame in pages.frames(buffer.address, buffer.nbytes)]
        assert set(found) == set(chosen)
        assert all(one != following for one, following in pairwise(found))


def test_huge_pages_are_spread_whole(
    machine: Machine, allocator: nump.NumaAllocator, all_nodes: list[int]
) -> None:
    size = 2 * MIB * len(all_nodes) * 2
    with allocator.allocate_interleaved(size, strict=True, page_size="transparent") as buffer:
        assert pages.bytes_by_node(buffer) == dict.fromkeys(all_nodes, 4 * MIB)
        assert buffer.placement().page_size_bytes == 2 * MIB


@pytest.mark.machine("four_asymmetric")
@pytest.mark.parametrize("asked", ["system", {0: 3, 1: 1}])
def test_weights_before_linux_6_9_name_the_remedy(
    machine: Machine, allocator: nump.NumaAllocator, asked: object
) -> None:
    with pytest.raises(nump.UnsupportedError, match=r"6\.9"):
        allocator.allocate_interleaved(4 * MIB, weights=asked)  # type: ignore[arg-type]


@pytest.mark.machine("two_equal_612")
def test_system_weights_are_followed_exactly(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    with (
        weights({0: 3, 1: 1}),
        allocator.allocate_interleaved(16 * MIB, weights="system", page_size="base") as buffer,
    ):
        assert pages.bytes_by_node(buffer) == {0: 12 * MIB, 1: 4 * MIB}
        assert pages.numa_maps(buffer).policy.startswith("weighted-interleave")
        assert buffer.placement().bytes_by_node == {0: 12 * MIB, 1: 4 * MIB}
        assert buffer.step is nump.AllocationStep.PREFERRED


@pytest.mark.machine("two_equal_612")
@pytest.mark.parametrize("asked", [{0: 5, 1: 2}, {0: 10, 1: 4}])
def test_weights_in_the_same_ratio_agree_with_the_table(
    machine: Machine, allocator: nump.NumaAllocator, asked: dict[int, int]
) -> None:
    with (
        weights({0: 5, 1: 2}),
        allocator.allocate_interleaved(14 * MIB, weights=asked, page_size="base") as buffer,
    ):
        assert pages.bytes_by_node(buffer) == {0: 10 * MIB, 1: 4 * MIB}


@pytest.mark.machine("two_equal_612")
def test_weights_that_differ_from_the_table_name_its_files(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    with weights({0: 2, 1: 2}), pytest.raises(nump.UnsupportedError) as caught:
        allocator.allocate_interleaved(4 * MIB, weights={0: 2, 1: 1})
    for node in (0, 1):
        assert str(_WEIGHTS / f"node{node}") in str(caught.value)


@pytest.mark.machine("two_equal_612")
def test_without_weights_the_table_does_not_matter(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    with (
        weights({0: 7, 1: 1}),
        allocator.allocate_interleaved(8 * MIB, page_size="base") as buffer,
    ):
        assert pages.bytes_by_node(buffer) == {0: 4 * MIB, 1: 4 * MIB}

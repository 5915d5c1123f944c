"""Huge pages that an administrator reserved, and a clear word where there are none."""

from __future__ import annotations

import pytest

import numapool as nump

from .harness.machine import Machine
from .support import pages
from .support.nodes import MIB, NODES, reserved_huge_pages

pytestmark = pytest.mark.machine("two_equal", "two_equal_612")

_PAGE = 2 * MIB


@pytest.fixture(scope="module")
def allocator() -> nump.NumaAllocator:
    return nump.NumaAllocator()


def _free_on(node: int) -> int:
    folder = NODES / f"node{node}" / "hugepages" / "hugepages-2048kB"
    return int((folder / "free_hugepages").read_text())


@pytest.mark.parametrize("node", [0, 1])
def test_reserved_pages_of_the_node_are_used(
    machine: Machine, allocator: nump.NumaAllocator, node: int
) -> None:
    with reserved_huge_pages(0, 8), reserved_huge_pages(1, 8):
        with allocator.allocate(7 * MIB, node, page_size=_PAGE, strict=True) as buffer:
            line = pages.numa_maps(buffer)
            assert line.page_bytes == _PAGE
            assert line.bytes_by_node == {node: 8 * MIB}
            assert pages.bytes_by_node(buffer) == {node: 7 * MIB}
            assert (_free_on(node), _free_on(1 - node)) == (4, 8)
            assert buffer.step is nump.AllocationStep.PREFERRED
            told = buffer.placement()
            assert told.page_size_bytes == _PAGE
            assert set(told.bytes_by_node) == {node}
            with memoryview(buffer) as view:
                view[-4:] = b"last"
                # Asked about as memory of another owner's, from within its first page on.
                part = view[3 * MIB :]
                found = nump.placement_of(part)
                assert found.page_size_bytes == _PAGE
                assert found.bytes_by_node == {node: 4 * MIB}
                moved = nump.migrate(part, 1 - node)
                assert (moved.complete, moved.kept_bytes) == (True, {})
                assert bytes(view[-4:]) == b"last"
                assert pages.numa_maps(buffer).bytes_by_node == {node: 2 * MIB, 1 - node: 6 * MIB}
                part.release()
        assert _free_on(node) == 8


@pytest.mark.parametrize("strict", [False, True])
def test_reservation_of_another_node_is_moved_but_never_grown(
    machine: Machine, allocator: nump.NumaAllocator, strict: bool
) -> None:
    """The kernel moves free huge pages to the node that asks; the system's total stays."""
    with reserved_huge_pages(0, 8), reserved_huge_pages(1, 2):
        with allocator.allocate(4 * _PAGE, 1, page_size=_PAGE, strict=strict) as buffer:
            found = pages.numa_maps(buffer).bytes_by_node
            assert found == {1: 4 * _PAGE} == buffer.placement().bytes_by_node
            assert buffer.step is nump.AllocationStep.PREFERRED
            assert _free_on(0) + _free_on(1) == 6
        # For good, as the documentation says.
        assert (_free_on(0), _free_on(1)) == (6, 4)


@pytest.mark.parametrize("strict", [False, True])
def test_none_reserved_says_how_to(
    machine: Machine, allocator: nump.NumaAllocator, strict: bool
) -> None:
    with pytest.raises(nump.UnsupportedError, match="nr_hugepages"):
        allocator.allocate(4 * MIB, 0, page_size=_PAGE, strict=strict)


def test_too_few_anywhere_is_refused_without_a_signal(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    with (
        reserved_huge_pages(0, 2),
        reserved_huge_pages(1, 1),
        pytest.raises((nump.UnsupportedError, MemoryError), match="hugepages"),
    ):
        allocator.allocate(4 * _PAGE, 0, page_size=_PAGE)


def test_a_size_that_the_machine_lacks_is_refused(
    machine: Machine, allocator: nump.NumaAllocator
) -> None:
    with pytest.raises(nump.UnsupportedError, match=r"2048|2 MiB|2097152"):
        allocator.allocate(4 * MIB, 0, page_size=4 * MIB)

"""placement_of and move: pages of memory that others allocated."""

from __future__ import annotations

import array as arrays
import ctypes
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from support.numa_maps import bytes_by_node
from support.optional import needed

import numapool as nump
from numapool.memory.object_memory import extents_of

PAGE = mmap.PAGESIZE


def resident(obj: Any) -> int:
    return nump.placement_of(obj).resident_bytes


def total(obj: Any) -> int:
    placement = nump.placement_of(obj)
    return placement.resident_bytes + placement.not_resident_bytes


def pages_touched(array: np.ndarray) -> int:
    """Count pages by going to every element: slow and sure."""
    pages: set[int] = set()
    if array.size:
        start = array.__array_interface__["data"][0]
        for index in np.ndindex(array.shape):
            at = start + sum(i * s for i, s in zip(index, array.strides, strict=True))
            pages.update(range(at // PAGE, (at + max(array.itemsize, 1) - 1) // PAGE + 1))
    return len(pages)


STORE = np.zeros(1 << 19, np.uint8)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(-9000, 9000)), max_size=3),
    st.sampled_from([1, 3, 8, 5000]),
    st.integers(0, 5000),
)
def test_any_strides_are_the_pages_that_elements_touch(
    dimensions: list[tuple[int, int]], item: int, offset: int
) -> None:
    low = sum((n - 1) * s for n, s in dimensions if s < 0 and n)
    start = offset - low
    array = as_strided(
        STORE[start : start + item].view(f"V{item}"),
        shape=(1, *(n for n, _ in dimensions)),
        strides=(item, *(s for _, s in dimensions)),
    )
    assert total(array) == pages_touched(array) * PAGE


def test_anonymous_memory_agrees_with_numa_maps(node: int) -> None:
    with mmap.mmap(-1, 64 * PAGE) as memory:
        memory[: 16 * PAGE] = b"x" * (16 * PAGE)
        start = extents_of(memory)[0].address
        placement = nump.placement_of(memory)
        assert placement.not_resident_bytes in (48 * PAGE, 0)  # 0: in a huge page
        assert placement.resident_bytes + placement.not_resident_bytes == 64 * PAGE
        part = np.frombuffer(memory, np.uint8)[: 16 * PAGE]
        assert nump.placement_of(part).resident_bytes == 16 * PAGE
        if (told := bytes_by_node(start, start + 1)) and sum(told.values()) == 16 * PAGE:
            assert placement.bytes_by_node == told
        del part


@pytest.mark.parametrize(
    "made",
    [
        b"b" * 9000,
        bytearray(9000),
        memoryview(bytearray(90000))[::-7],
        arrays.array("d", [1.0] * 900),
        np.ones((90, 90))[::3, ::-2].T,
        np.array(["2024-01-01"], "M8[D]"),
        np.array([object()] * 1000),
        np.float64(1.5) * np.ones(()),
        np.ma.masked_array([1, 2, 3], [False, True, False]),
    ],
    ids=lambda made: type(made).__name__,
)
def test_whoever_allocated_it(made: Any, node: int) -> None:
    placement = nump.placement_of(made)
    assert placement.resident_bytes > 0
    assert placement.resident_bytes % PAGE == 0
    assert nump.migrate(made, node).kept_bytes == {}


def test_node_buffers_and_what_views_them(allocator: nump.NumaAllocator, node: int) -> None:
    with allocator.allocate(20 * PAGE, node, page_size="base") as buffer:
        assert nump.placement_of(buffer) == buffer.placement()
        every_second = np.frombuffer(buffer, np.uint8)[:: 2 * PAGE]
        assert nump.placement_of(every_second).bytes_by_node == {node: 10 * PAGE}
        assert nump.placement_of(memoryview(buffer)[:1]).bytes_by_node == {node: PAGE}
        del every_second


def test_ctypes_arrays_which_give_no_strides() -> None:
    for array in ((ctypes.c_char * (3 * PAGE))(), ((ctypes.c_double * 64) * 48)()):
        memory = memoryview(array)
        np.frombuffer(memory, np.uint8)[:] = 1
        assert resident(array) == resident(np.frombuffer(memory, np.uint8)) >= memory.nbytes
    assert total((ctypes.c_char * 0)()) == 0


def test_tensors() -> None:
    torch = needed("torch")
    tensor = torch.ones(100, 1000)
    column = tensor[:, 3]
    assert resident(column) == pages_touched(column.numpy()) * PAGE
    assert resident(tensor.t()) == pages_touched(tensor.numpy()) * PAGE
    with pytest.raises(ValueError, match="meta"):
        nump.placement_of(torch.ones(3, device="meta"))
    with pytest.raises(TypeError, match="sparse"):
        nump.placement_of(torch.ones(3).to_sparse())


def test_arrow_data() -> None:
    pa = needed("pyarrow")
    numbers = pa.array(range(100_000))
    buffer = numbers.buffers()[1]
    assert resident(numbers) == resident(buffer) >= 800_000
    words = pa.array(["one", None, "two"]).dictionary_encode()
    table = pa.table({"n": numbers.slice(10, 3), "w": pa.array(["a"] * 3)})
    assert resident(table) >= resident(numbers)
    assert resident(table.to_batches()[0]) == resident(table)
    assert resident(words) > 0
    assert total(pa.array([], pa.int64())) == 0


def test_what_has_no_memory_to_tell_of() -> None:
    for odd in (3, "text", [1, 2], object()):
        with pytest.raises(TypeError, match="obj must be an array"):
            nump.placement_of(odd)


def test_move_says_what_it_did(node: int) -> None:
    array = np.arange(1 << 18)
    report = nump.migrate(array, node)
    assert report.node_id == node
    assert report.complete
    assert report.placement.bytes_by_node.keys() == {node}
    assert array.sum() == sum(range(1 << 18))
    with pytest.raises(nump.NodeNotFoundError):
        nump.migrate(array, 4000)
    with pytest.raises(ValueError, match="node must be"):
        nump.migrate(array, "zero")


def test_pages_of_a_file_are_told(tmp_path: Path, node: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(4 * PAGE))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        assert sum(memory[::PAGE]) >= 0  # touch them
        assert nump.placement_of(memory).resident_bytes == 4 * PAGE
        before = nump.placement_of(memory)
        report = nump.migrate(memory, node)
        assert report.placement.resident_bytes == 4 * PAGE
        assert (report.placement, report.moved_bytes) == (before, 0)

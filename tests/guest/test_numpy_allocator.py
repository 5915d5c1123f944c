"""NumPy's own arrays land on the node of their context: proved by the kernel, page by page."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import numapool as nump

from .harness.machine import Machine, Node
from .support import pages
from .support.nodes import MIB

pytestmark = pytest.mark.machine("two_equal", "lopsided", "two_equal_612")

_COUNTS = (MIB // 32, MIB // 8, 2 * MIB)  # of float64: part of a slab, base pages, huge pages


@dataclass
class _Memory:
    """An array as memory with an address."""

    array: np.ndarray

    @property
    def address(self) -> int:
        return int(self.array.ctypes.data)

    @property
    def nbytes(self) -> int:
        return int(self.array.nbytes)


def _nodes_of(array: np.ndarray) -> set[int]:
    """The nodes of its pages, by pagemap and by numa_maps, which must agree."""
    memory = _Memory(array)
    seen = pages.bytes_by_node(memory)
    assert sum(seen.values()) >= memory.nbytes
    assert set(seen) == set(pages.numa_maps(memory).bytes_by_node)
    return set(seen)


def _with_memory(machine: Machine) -> list[Node]:
    return [one for one in machine.online_nodes if one.memory_mib]


class _Spy(np.ndarray):
    """Notes where the memory of every result is that an expression has on its way."""

    seen: ClassVar[list[set[int]]] = []

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any
    ) -> np.ndarray:
        plain = [np.asarray(one) if isinstance(one, _Spy) else one for one in inputs]
        result: np.ndarray = getattr(ufunc, method)(*plain, **options)
        _Spy.seen.append(_nodes_of(result))
        return result.view(_Spy)


@pytest.mark.parametrize("count", _COUNTS)
def test_arrays_of_every_making_are_on_the_node(machine: Machine, count: int) -> None:
    for node in (one.node_id for one in _with_memory(machine)):
        with nump.numpy_allocator(node):
            line = np.arange(count, dtype=np.float64)
            made = {
                "arange": line,
                "zeros": np.zeros(count),
                "expression": line * line + line,
                "copy": line.copy(),
                "cast": line.astype(np.float32),
                "joined": np.concatenate([line, line]),
                "picked": line[line % 2 == 0],
            }
            resized = np.ones(count // 4)
            resized.resize(count, refcheck=False)
            made["resized"] = resized
            made["empty"] = np.empty(count)
        landed = {name: _nodes_of(array) for name, array in made.items()}
        assert landed == {name: {node} for name in made}
        assert not made["zeros"].any()
        assert resized.sum() == count // 4


def test_temporaries_are_on_the_node(machine: Machine) -> None:
    node = _with_memory(machine)[-1].node_id
    _Spy.seen.clear()
    with nump.numpy_allocator(node):
        one = np.ones(_COUNTS[1]).view(_Spy)
        result = (one * 2 + 1) * (one - 3)
    assert _Spy.seen == [{node}] * 4
    assert _nodes_of(np.asarray(result)) == {node}


def test_nested_blocks_and_threads_have_nodes_of_their_own(machine: Machine) -> None:
    first, last = (_with_memory(machine)[at].node_id for at in (0, -1))
    count = _COUNTS[1]
    with nump.numpy_allocator(first):
        outer = np.ones(count)
        with (
            nump.numpy_allocator(last),
            ThreadPoolExecutor(1, initializer=nump.numpy_allocator(first).initializer) as others,
        ):
            theirs = others.submit(np.ones, count).result()
            inner = np.ones(count)
        after = np.ones(count)
    assert [_nodes_of(one) for one in (outer, theirs, inner, after)] == [
        {first},
        {first},
        {last},
        {first},
    ]


def test_memory_that_comes_back_serves_its_own_node_alone(machine: Machine) -> None:
    """Freed by another thread, a block of one node never becomes an array of the other."""
    ids = [one.node_id for one in _with_memory(machine)]
    with nump.BufferPool() as pool:
        for _ in range(3):
            for node in ids:
                with nump.numpy_allocator(node, pool):
                    arrays = [np.ones(count) for count in _COUNTS]
                assert [_nodes_of(one) for one in arrays] == [{node}] * len(arrays)
                last = threading.Thread(target=arrays.clear)
                last.start()
                last.join()
                assert not arrays
        total = pool.statistics().total
        assert (total.spills, total.in_use_bytes) == (0, 0)
        assert total.hits >= 2 * len(ids) * len(_COUNTS)


@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")  # nodes without CPUs
def test_an_executors_arrays_are_on_its_memory_node(machine: Machine) -> None:
    for node in (one.node_id for one in machine.online_nodes):
        with nump.NodeExecutor(node, 2) as executor:
            for count in _COUNTS:
                array = executor.submit(np.ones, count).result()
                assert _nodes_of(array) == {executor.memory_node}


def test_strict_arrays_that_do_not_fit_are_memory_errors(machine: Machine) -> None:
    node = _with_memory(machine)[-1]
    with nump.BufferPool() as pool, nump.numpy_allocator(node.node_id, pool, strict=True):
        assert _nodes_of(np.ones(_COUNTS[1])) == {node.node_id}
        with pytest.raises(MemoryError):
            np.empty((node.memory_mib + 64) * MIB, np.uint8)

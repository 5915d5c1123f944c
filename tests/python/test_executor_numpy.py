"""NodeExecutor: NumPy's arrays of its threads live on the node, unless that is turned off."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support import child, numa_maps
from support.affinity import split_machine

import numapool as nump

_COUNT = 1 << 17  # of float64: 1 MiB, so that expressions make temporaries of blocks of the pool


def handler_name() -> str:
    return str(np._core.multiarray.get_handler_name())  # type: ignore[attr-defined]


def handler_of(array: np.ndarray) -> str:
    return str(np._core.multiarray.get_handler_name(array))  # type: ignore[attr-defined]


def make_array() -> np.ndarray:
    part = np.arange(_COUNT, dtype=np.float64)
    return part * part + part


def test_arrays_made_in_the_threads_are_on_the_node(node: int) -> None:
    with nump.BufferPool() as pool:
        with nump.NodeExecutor(node, 2, pool=pool) as executor:
            arrays = [executor.submit(make_array).result() for _ in range(4)]
            assert executor.numpy_allocator is not None
            assert executor.numpy_allocator.pool is pool
        for array in arrays:
            assert handler_of(array) == f"numapool_node{node}"
            start = array.ctypes.data
            seen = numa_maps.bytes_by_node(start, start + array.nbytes)
            assert set(seen) <= {node}
            assert array[-1] == (_COUNT - 1) * _COUNT
        assert pool.statistics().by_node[node].in_use_bytes >= 4 * 8 * _COUNT
        del array, arrays
        assert pool.statistics().total.in_use_bytes == 0


def test_by_default_they_share_numpy_allocators_pool(node: int) -> None:
    with nump.NodeExecutor(node, 1) as executor:
        shared = executor.numpy_allocator
        assert shared is not None
        assert shared.node_id == node
        assert shared.pool is nump.numpy_allocator(node).pool
        before = shared.pool.statistics().total.in_use_bytes
        array = executor.submit(make_array).result()
        assert shared.pool.statistics().total.in_use_bytes >= before + array.nbytes


def test_the_makers_threads_keep_numpys_own(node: int) -> None:
    before = handler_name()
    with nump.NodeExecutor(node, 1) as executor, ThreadPoolExecutor(1) as other:
        assert executor.submit(handler_name).result() == f"numapool_node{node}"
        assert other.submit(handler_name).result() == before
        assert handler_name() == before


def test_it_can_be_turned_off(node: int) -> None:
    with nump.NodeExecutor(node, 1, numpy_arrays=False) as executor:
        assert executor.numpy_allocator is None
        assert executor.submit(handler_name).result() == "default_allocator"


def test_the_initializer_finds_it_set_and_may_set_another(node: int) -> None:
    seen: list[str] = []

    def begin() -> None:
        seen.append(handler_name())
        nump.set_numpy_allocator(None)

    with nump.NodeExecutor(node, 1, initializer=begin) as executor:
        assert executor.submit(handler_name).result() == "default_allocator"
    assert seen == [f"numapool_node{node}"]


def test_tasks_do_not_change_it_for_one_another(node: int) -> None:
    """Tasks share their thread's context: what a block sets, its end restores."""

    def inner() -> str:
        with nump.numpy_allocator():
            return handler_name()

    with nump.NodeExecutor(node, 1) as executor:
        assert executor.submit(inner).result() == "numapool"
        assert executor.submit(handler_name).result() == f"numapool_node{node}"


def test_an_array_outlives_executor_and_pool_and_is_freed_elsewhere(node: int) -> None:
    with nump.BufferPool() as pool, nump.NodeExecutor(node, 1, pool=pool) as executor:
        arrays = [executor.submit(make_array).result()]
    del pool, executor
    assert arrays[0].sum() == sum(one * one + one for one in range(_COUNT))
    last = threading.Thread(target=arrays.clear)
    last.start()
    last.join()
    assert arrays == []


def test_a_pool_that_cannot_serve_is_told_of_by_the_maker(node: int) -> None:
    with nump.BufferPool() as closed:
        pass
    with pytest.raises(ValueError, match="closed"):
        nump.NodeExecutor(node, pool=closed)
    with (
        nump.BufferPool(max_bytes=1 << 20) as full,
        full.acquire(1 << 20),
        pytest.raises(nump.PoolExhaustedError),
    ):
        nump.NodeExecutor(node, pool=full)
    with nump.BufferPool() as pool, pytest.raises(ValueError, match="numpy_arrays"):
        nump.NodeExecutor(node, numpy_arrays=False, pool=pool)
    with pytest.raises(TypeError, match="BufferPool"):
        nump.NodeExecutor(node, pool=7)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")  # no memory of made-up nodes
def test_where_no_policy_can_be_set_numpy_keeps_its_own(tmp_path: Path) -> None:
    topology = split_machine(tmp_path)
    with nump.NodeExecutor(2, 1, topology=topology) as executor:
        assert executor.memory_node is None
        assert executor.numpy_allocator is None
        assert executor.submit(handler_name).result() == "default_allocator"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_threads_of_a_forks_child_have_it_too(node: int) -> None:
    with nump.NodeExecutor(node, 1) as executor:
        kept = executor.submit(make_array).result()
        total = kept.sum()
        pid = os.fork()
        if pid == 0:
            try:
                array = executor.submit(make_array).result(timeout=60)
                good = handler_of(array) == f"numapool_node{node}" and array.sum() == total
                good = good and kept.sum() == total
                del array, kept
                executor.shutdown()
            except BaseException:
                good = False
            os._exit(0 if good else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert kept.sum() == executor.submit(make_array).result().sum()


def test_without_numpy_an_executor_works_all_the_same() -> None:
    child.check("""
import sys
sys.modules["numpy"] = None
import numapool as nump
node = nump.NumaTopology.detect().nodes[0].node_id
with nump.NodeExecutor(node, 1) as executor:
    assert executor.numpy_allocator is None
    assert executor.submit(pow, 2, 5).result() == 32
""")


def test_the_interpreter_ends_with_arrays_of_a_running_executor_alive() -> None:
    out = child.check("""
import numpy as np
import numapool as nump
node = nump.NumaTopology.detect().nodes[0].node_id
executor = nump.NodeExecutor(node, 2)
kept = [executor.submit(np.full, 1 << 17, 2.0).result() for _ in range(4)]
late = executor.submit(np.zeros, 1 << 18)
print(int(sum(one.sum() for one in kept)))
""")
    assert int(out) == 4 * 2 << 17

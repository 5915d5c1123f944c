"""Threads on a node's CPUs by Windows' group affinity, as Windows itself tells it."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from support import child

import numapool as nump
from numapool.threads import thread_cpus


@pytest.fixture(scope="module")
def node() -> nump.NumaNode:
    return nump.NumaTopology.detect().nodes[0]


def test_run_on_narrows_the_thread_and_puts_it_back(node: nump.NumaNode) -> None:
    before = thread_cpus.get()
    with nump.run_on(node.node_id) as placement:
        assert placement.node_id == node.node_id
        assert thread_cpus.get() == set(placement.cpus) <= set(node.cpu_cores)
        with nump.NumaAllocator().allocate(1 << 20) as buffer:
            assert buffer.requested_node == node.node_id
    assert thread_cpus.get() == before


def test_one_cpu_is_kept_and_put_back(node: nump.NumaNode) -> None:
    before = thread_cpus.get()
    try:
        thread_cpus.set({max(before)})
        assert thread_cpus.get() == {max(before)}
    finally:
        thread_cpus.set(before)
    assert thread_cpus.get() == before
    with pytest.raises(OSError):
        thread_cpus.set({63 * 64 + 5})
    assert thread_cpus.get() == before


def test_an_executor_works_on_the_node_with_its_arrays(node: nump.NumaNode) -> None:
    def work(seed: int) -> tuple[frozenset[int], float]:
        values = np.full(100_000, float(seed))
        return thread_cpus.get(), float((values * 2 + 1).sum())

    with nump.NodeExecutor(node.node_id, 2) as executor:
        assert executor.memory_node == node.node_id
        assert executor.numpy_allocator is not None
        for seed, (cpus, total) in enumerate(executor.map(work, range(8))):
            assert cpus == set(executor.cpus)
            assert total == 100_000 * (2 * seed + 1)
        assert executor.numpy_allocator.pool.statistics().total.misses > 0


def test_every_thread_of_the_process_is_bound() -> None:
    out = child.check(
        """
        import threading
        import numapool as nump
        from numapool.threads import thread_cpus
        ready, end = threading.Event(), threading.Event()
        def wait():
            ready.set()
            end.wait()
        other = threading.Thread(target=wait)
        other.start()
        ready.wait()
        bound = nump.bind_process(0)
        ids = {threading.get_native_id(), other.native_id}
        print(ids <= set(bound.thread_ids), bound.memory_node == 0)
        print(thread_cpus.get(other.native_id) == thread_cpus.get() == set(bound.cpus))
        for line in bound.not_done:
            print(line)
        end.set()
        other.join()
        """
    ).splitlines()
    assert out[:2] == ["True True", "True"]
    assert all(line.startswith("CPUs of threads that are started later: ") for line in out[2:])


def test_threads_are_listed() -> None:
    assert threading.get_native_id() in thread_cpus.threads()

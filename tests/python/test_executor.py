"""NodeExecutor: the API of concurrent.futures, by threads on a node that take its memory."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures.thread import BrokenThreadPool
from pathlib import Path

import numpy as np
import pytest
from support import child
from support.affinity import own_cpus, shared_cpus, split_machine
from support.policy import kernel_policy

import numapool as nump


@pytest.fixture
def executor(node: int) -> Iterator[nump.NodeExecutor]:
    with nump.NodeExecutor(node, 2) as one:
        yield one


# --- where the threads are ------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")  # no memory of made-up nodes
def test_threads_run_on_the_nodes_cpus_and_the_maker_does_not(tmp_path: Path) -> None:
    topology = split_machine(tmp_path)
    before = own_cpus()
    with (
        nump.NodeExecutor(0, topology=topology) as near,
        nump.NodeExecutor(1, 3, topology=topology) as far,
    ):
        for one, node in ((near, 0), (far, 1)):
            expected = frozenset(topology.node(node).cpu_cores)
            assert {one.submit(own_cpus).result() for _ in range(6)} == {expected}
            assert (one.requested_node, one.node_id) == (node, node)
            assert one.cpus == tuple(sorted(expected))
        assert (near.max_workers, far.max_workers) == (1, 3)
        assert own_cpus() == before


@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")
def test_several_nodes_are_all_their_cpus(tmp_path: Path) -> None:
    topology = split_machine(tmp_path)
    both = {cpu for node in (0, 1) for cpu in topology.node(node).cpu_cores}
    with nump.NodeExecutor({1, 0}, topology=topology) as executor:
        assert {executor.submit(own_cpus).result() for _ in range(4)} == {frozenset(both)}
        assert executor.submit(kernel_policy).result()[0] in (1, 5)  # one node, before Linux 5.15
        assert executor.submit(nump._core.home_node).result() == -2
        assert (executor.requested_node, executor.node_id, executor.memory_node) == (0, 0, 0)
        assert executor.cpus == tuple(sorted(both))
        assert repr(executor).startswith("<NodeExecutor node 0-1: CPUs ")
        assert executor.submit(np.ones, 100_000).result().sum() == 100_000
        assert executor.numpy_allocator is not None
        assert executor.numpy_allocator.node_ids == (0, 1)


@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")
def test_a_maker_confined_meanwhile_does_not_confine_the_threads(tmp_path: Path) -> None:
    """Threads are started by whoever submits; they are put where the executor was made for."""
    topology = split_machine(tmp_path)
    with nump.NodeExecutor(1, topology=topology) as executor, nump.run_on(0, topology=topology):
        expected = frozenset(topology.node(1).cpu_cores)
        assert executor.submit(own_cpus).result() == expected
        with nump.NodeExecutor(1, topology=topology) as inner:
            assert inner.submit(own_cpus).result() == expected


def test_memory_without_cpus(tmp_path: Path) -> None:
    topology = split_machine(tmp_path)
    with pytest.warns(nump.PlacementWarning) as caught:
        executor = nump.NodeExecutor(2, topology=topology)
    assert "node 2 has no CPUs" in str(caught[0].message)
    assert caught[0].filename == __file__
    with executor:
        assert (executor.requested_node, executor.node_id) == (2, 1)
        assert executor.submit(own_cpus).result() == frozenset(topology.node(1).cpu_cores)
        assert executor.submit(nump._core.home_node).result() == 2
        assert nump._core.home_node() == -1


@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")  # no memory of made-up nodes
def test_nodes_that_share_cpus(tmp_path: Path) -> None:
    """The CPU does not tell the node that memory is to come from: the executor does."""
    topology = shared_cpus(tmp_path)
    for node in (0, 1):
        with nump.NodeExecutor(node, topology=topology) as executor:
            assert executor.node_id == node
            assert executor.submit(nump._core.home_node).result() == node


def test_threads_prefer_the_nodes_memory_and_the_maker_does_not(
    executor: nump.NodeExecutor, node: int
) -> None:
    before = kernel_policy()
    assert executor.memory_node == node
    assert executor.submit(kernel_policy).result() == (1, 1 << node)
    assert kernel_policy() == before


def test_allocations_default_to_the_node(executor: nump.NodeExecutor, node: int) -> None:
    with nump.BufferPool() as pool:

        def allocate() -> tuple[int | None, int | None, int]:
            with nump.NumaAllocator().allocate(1 << 20) as own, pool.acquire(1 << 20) as pooled:
                return own.node_id, pooled.node_id, int(np.ones(1 << 20).sum())

        assert executor.submit(allocate).result() == (node, node, 1 << 20)


# --- the API of concurrent.futures ----------------------------------------------------------------


def test_results_errors_and_order(executor: nump.NodeExecutor) -> None:
    assert isinstance(executor, futures.Executor)
    assert executor.submit(pow, 2, exp=5).result() == 32
    assert list(executor.map(lambda a, b: a * b, range(100), range(100))) == [
        one * one for one in range(100)
    ]
    failed = executor.submit(divmod, 1, 0)
    assert isinstance(failed.exception(), ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        list(executor.map(divmod, [1], [0]))
    pending = [executor.submit(time.sleep, 0.01) for _ in range(4)]
    assert futures.wait(pending).not_done == set()
    assert {
        one.result() for one in futures.as_completed(executor.submit(abs, -n) for n in (1, 2))
    } == {1, 2}


def test_callbacks_and_timeouts(executor: nump.NodeExecutor) -> None:
    called = threading.Event()
    gate = threading.Event()
    future = executor.submit(gate.wait)
    future.add_done_callback(lambda _: called.set())
    with pytest.raises(futures.TimeoutError):
        future.result(timeout=0.01)
    with pytest.raises(futures.TimeoutError):
        next(executor.map(lambda _: gate.wait(), [0], timeout=0.01))
    gate.set()
    assert called.wait(10)


def test_no_more_threads_than_workers(node: int) -> None:
    names: set[str] = set()
    together = threading.Barrier(3, timeout=30)

    def meet() -> None:
        names.add(threading.current_thread().name)
        together.wait()

    with nump.NodeExecutor(node, 3) as executor:
        for _ in range(5):
            for one in [executor.submit(meet) for _ in range(3)]:
                one.result()
    assert names == {f"numapool-node{node}_{n}" for n in range(3)}


def test_shutdown_waits_and_takes_no_more(node: int) -> None:
    done: list[int] = []
    executor = nump.NodeExecutor(node, 1)

    def work(number: int) -> None:
        time.sleep(0.01)
        done.append(number)

    for number in range(5):
        executor.submit(work, number)
    executor.shutdown()
    assert done == list(range(5))
    assert "shut down" in repr(executor)
    with pytest.raises(RuntimeError):
        executor.submit(int)
    executor.shutdown()


def test_shutdown_may_cancel_what_has_not_begun(node: int) -> None:
    gate, begun = threading.Event(), threading.Event()
    executor = nump.NodeExecutor(node, 1)

    def wait() -> bool:
        begun.set()
        return gate.wait(30)

    running = executor.submit(wait)
    waiting = [executor.submit(int) for _ in range(4)]
    assert begun.wait(30)
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(one.cancelled() for one in waiting)
    gate.set()
    assert running.result(timeout=30)


def test_an_initializer_runs_in_each_thread_in_its_place(node: int) -> None:
    seen: list[tuple[int, tuple[int, int]]] = []
    with nump.NodeExecutor(
        node, 1, initializer=lambda number: seen.append((number, kernel_policy())), initargs=(7,)
    ) as executor:
        executor.submit(int).result()
        executor.submit(int).result()
    assert seen == [(7, (1, 1 << node))]


def test_an_initializer_that_fails_breaks_the_executor(node: int) -> None:
    def fail() -> None:
        raise LookupError("in the initializer")

    with nump.NodeExecutor(node, 1, initializer=fail) as executor:
        with pytest.raises(BrokenThreadPool):
            executor.submit(int).result()
        with pytest.raises(BrokenThreadPool):
            executor.submit(int)


def test_asyncio_takes_it(node: int) -> None:
    async def main() -> list[frozenset[int]]:
        loop = asyncio.get_running_loop()
        executor = nump.NodeExecutor(node)
        loop.set_default_executor(executor)
        return [await asyncio.to_thread(own_cpus), await loop.run_in_executor(executor, own_cpus)]

    seen = asyncio.run(main())
    assert seen[0] == seen[1]


def test_a_dropped_executor_ends_its_threads(node: int) -> None:
    executor = nump.NodeExecutor(node, 1)
    thread = executor.submit(threading.current_thread).result()
    gone = weakref.ref(executor)
    del executor
    gc.collect()
    assert gone() is None
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("workers", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)]
)
def test_workers_that_are_none(node: int, workers: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        nump.NodeExecutor(node, workers)  # type: ignore[arg-type]


def test_an_initializer_that_is_none(node: int) -> None:
    with pytest.raises(TypeError, match="callable"):
        nump.NodeExecutor(node, initializer=7)  # type: ignore[arg-type]


# --- processes ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork_the_child_has_threads_of_its_own(executor: nump.NodeExecutor) -> None:
    executor.submit(int).result()
    pid = os.fork()
    if pid == 0:
        try:
            good = executor.submit(os.getpid).result(timeout=30) == os.getpid()
            executor.shutdown()
        except BaseException:
            good = False
        os._exit(0 if good else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert executor.submit(os.getpid).result() == os.getpid()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_was_shut_down_stays_so_in_a_child(node: int) -> None:
    executor = nump.NodeExecutor(node)
    executor.shutdown()
    pid = os.fork()
    if pid == 0:
        try:
            executor.submit(int)
        except RuntimeError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def test_the_interpreter_ends_with_an_executor_in_use() -> None:
    out = child.check("""
import os
import time
import numapool as nump
node = nump.NumaTopology.detect().nodes[0].node_id
executor = nump.NodeExecutor(node, 2)
for _ in range(4):
    executor.submit(lambda: (time.sleep(0.05), os.write(1, b"done ")))
""")
    assert out.split() == ["done"] * 4


def test_a_refused_policy_is_warned_of_once_and_threads_run_all_the_same() -> None:
    child.check("""
import pathlib, tempfile, warnings
import numapool as nump
from support import seccomp
from support.affinity import own_cpus, shared_cpus, split_machine
from support.policy import kernel_policy
topology = split_machine(pathlib.Path(tempfile.mkdtemp()))
seccomp.refuse(["set_mempolicy"], 1)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        with nump.NodeExecutor(0, topology=topology) as executor:
            assert executor.memory_node is None
            assert executor.submit(own_cpus).result() == frozenset(topology.node(0).cpu_cores)
(only,) = caught
assert only.category is nump.PlacementWarning and "set_mempolicy" in str(only.message), only
assert only.filename == "<string>", only
""")

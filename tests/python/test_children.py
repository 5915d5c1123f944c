"""Child processes that start on a node: their CPUs, their policy, and the parent's own restored."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
import warnings
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import affinity, child
from support.policy import kernel_policy

import numapool as nump
from numapool import _core
from numapool.processes import children

SHOW = ["cat", "/proc/self/numa_maps"]
PREFERRED, DEFAULT = 1, 0


def policies(text: str) -> set[str]:
    return {line.split()[1] for line in text.splitlines()}


def started(node: int) -> str:
    with nump.children_on(node):
        process = subprocess.Popen(SHOW, stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate(timeout=120)
    return str(output)


def test_a_child_has_the_policy_from_its_first_mapping_on(node: int) -> None:
    assert policies(started(node)) == {f"prefer:{node}"}
    assert f"prefer:{node}" not in subprocess.run(SHOW, capture_output=True, text=True).stdout


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.thread_unsafe(reason="forks, and the other threads' locks are taken then")
def test_processes_of_multiprocessing_start_on_the_node(node: int, method: str) -> None:
    context = multiprocessing.get_context(method)
    with nump.children_on(node), context.Pool(1) as pool:
        assert pool.apply(kernel_policy) == (PREFERRED, 1 << node)
        assert pool.apply(nump.bound_node) == node


def test_the_thread_is_as_it_was_before(node: int) -> None:
    before = kernel_policy(), os.sched_getaffinity(0), nump.bound_node()
    block = nump.children_on(node)
    with pytest.raises(KeyError), block as placement:
        assert placement.node_id == node
        assert kernel_policy() == (PREFERRED, 1 << node)
        with block, nump.memory_policy(node, mode="interleave"):
            pass
        assert kernel_policy() == (PREFERRED, 1 << node)
        raise KeyError
    assert (kernel_policy(), os.sched_getaffinity(0), nump.bound_node()) == before
    with pytest.raises(RuntimeError, match="in the thread that entered"):
        block.__exit__(None, None, None)


def test_it_decorates_functions(node: int) -> None:
    assert nump.children_on(node)(nump.bound_node)() == node


def test_cpus_are_the_nodes_inside_and_the_former_ones_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = affinity.split_machine(tmp_path)
    monkeypatch.setattr(children, "known_topology", lambda: machine)
    first, *others = sorted(affinity.own_cpus())
    show = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for node, cpus in ((0, [first]), (1, others)):
            with nump.children_on(node):
                assert subprocess.check_output(show, text=True) == f"{cpus}\n"
        with nump.children_on(2) as placement:
            assert (placement.requested_node, placement.node_id) == (2, 1)
    assert any("node 2 has no CPUs" in str(one.message) for one in said)
    assert sorted(affinity.own_cpus()) == [first, *others]


@pytest.mark.parametrize(
    ("cpus", "policy", "node"),
    [
        ("all", ("default", []), None),
        ("first", ("default", []), 0),
        ("others", ("default", []), 1),
        ("all", ("preferred", [1]), 1),
        ("all", ("bind", [0]), 0),
        ("all", ("preferred-many", [0, 1]), None),
        ("all", ("interleave", [1]), None),
        ("all", ("preferred", [77]), None),
        ("first", ("preferred", [0]), 0),
        ("first", ("preferred", [1]), None),
        ("others", ("preferred", [2]), 2),  # which has no CPUs
        ("others", OSError(1, "refused"), 1),
    ],
)
def test_bound_node(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cpus: str,
    policy: tuple[str, list[int]] | OSError,
    node: int | None,
) -> None:
    machine = affinity.split_machine(tmp_path)
    first, *others = sorted(affinity.own_cpus())
    sets = {"all": {first, *others}, "first": {first}, "others": set(others)}

    def told() -> SimpleNamespace:
        if isinstance(policy, OSError):
            raise policy
        mode = _core.ThreadMode[policy[0].upper().replace("-", "_")]
        return SimpleNamespace(mode=mode, nodes=policy[1])

    monkeypatch.setattr(children, "known_topology", lambda: machine)
    monkeypatch.setattr("numapool.processes.children._core.thread_policy", told)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: sets[cpus])
    assert nump.bound_node() == node


def test_wrong_arguments() -> None:
    with pytest.raises(nump.NodeNotFoundError, match="no node 1023"):
        nump.children_on(1023)
    with pytest.raises(ValueError, match="node must be"):
        nump.children_on("zero")
    with pytest.raises(TypeError, match="node must be"):
        nump.children_on(0.0)  # type: ignore[arg-type]


def test_a_fork_server_that_runs_is_refused_with_the_remedy(node: int) -> None:
    code = f"""
        import multiprocessing, warnings
        import numapool as nump
        def nothing(): pass
        if __name__ == "__main__":
            context = multiprocessing.get_context("forkserver")
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                for _ in range(2):
                    try:
                        with nump.children_on({node}):
                            process = context.Process(target=print)
                            process.start()
                        process.join()
                    except RuntimeError as error:
                        print(error)
            print(*(one.message for one in said))
    """
    done = child.run(code)
    assert done.returncode == 0, done.stderr
    refused, warned = done.stdout.strip().splitlines()
    assert "already" in refused and "'spawn'" in refused
    assert f"inside children_on({node})" in warned and "'spawn'" in warned


def test_a_refused_policy_leaves_the_cpus_and_warns(node: int) -> None:
    code = f"""
        import subprocess, warnings
        from support import seccomp
        import numapool as nump
        seccomp.refuse(["set_mempolicy"], 1)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for _ in range(2):
                with nump.children_on({node}):
                    print(subprocess.check_output(["echo", "started"], text=True), end="")
        print(*(one.message for one in said))
    """
    started, again, warned = child.check(code).splitlines()
    assert started == again == "started"
    assert "do not prefer its memory" in warned and "set_mempolicy" in warned


def test_entering_and_leaving_is_cheap(node: int) -> None:
    """It takes some 20 us; what it must not do is read the machine anew (1 ms)."""
    nump.children_on(node)
    best = min(_entered_and_left(node) for _ in range(200))
    assert best < 500e-6


def _entered_and_left(node: int) -> float:
    begin = time.perf_counter()
    with nump.children_on(node):
        pass
    return time.perf_counter() - begin


@pytest.mark.thread_unsafe(reason="starts processes of its own")
def test_a_pool_works_on_its_nodes(node: int, tmp_path: Path) -> None:
    with nump.NodeProcessPool([node]) as pool:
        assert pool.nodes == (node,)
        assert pool.submit(kernel_policy, node=node).result(120) == (PREFERRED, 1 << node)
        assert pool.submit(pow, 2, 3, mod=5).result(120) == 3
        assert list(pool.map(abs, [-1, -2], timeout=120)) == [1, 2]
        worker = pool.submit(os.getpid).result(120)
        assert worker != os.getpid()
        assert pool.submit_near(tmp_path, os.getpid).result(120) == worker
        with nump.NumaAllocator().allocate(1 << 20) as buffer:
            assert pool.submit_near(buffer, os.getpid).result(120) == worker
        assert pool.submit_near(bytearray(1 << 20), os.getpid).result(120) == worker
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result(120)
        with pytest.raises(ValueError, match=r"one of the pool's nodes \[0\], not 1023"):
            pool.submit(abs, 1, node=1023)
        with nump.SharedNodeBuffer(1 << 20, node) as shared:
            shared[:3] = b"abc"
            assert pool.submit(bytes, shared).result(120)[:4] == b"abc\0"
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(abs, 1)
    assert kernel_policy()[0] == DEFAULT


def test_work_for_several_nodes_goes_to_the_least_busy_of_them() -> None:
    pool = nump.NodeProcessPool.__new__(nump.NodeProcessPool)  # on a machine of three nodes
    undone: dict[int, set[Future[Any]]] = {0: {Future(), Future()}, 1: {Future()}, 2: set()}
    pool._undone, pool._executors = undone, undone  # type: ignore[assignment]
    assert [pool._least_busy(some) for some in ([], [0, 1], [0, 9], [1, 2])] == [2, 1, 0, 2]
    with pytest.raises(ValueError, match=r"one of the pool's nodes \[0, 1, 2\], not 7-8"):
        pool._least_busy([7, 8])


@pytest.mark.thread_unsafe(reason="starts processes of its own")
def test_a_pool_whose_worker_dies_is_broken_and_ends(node: int) -> None:
    with (
        nump.NodeProcessPool([node], mp_context=multiprocessing.get_context("fork")) as pool,
        pytest.raises(BrokenProcessPool),
    ):
        pool.submit(os._exit, 3).result(120)


def test_work_without_a_node_goes_where_least_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = affinity.split_machine(tmp_path)
    monkeypatch.setattr("numapool.processes.pool.current_topology", lambda: machine)
    monkeypatch.setattr(children, "known_topology", lambda: machine)
    with nump.NodeProcessPool() as pool:
        assert pool.nodes == (0, 1)
        assert pool._near(2) == 1
        assert pool._near(None) is None
        pool._undone[0].update([object(), object()])  # type: ignore[list-item]
        assert pool._least_busy() == 1
        assert repr(pool) == "<NodeProcessPool nodes=[0, 1]>"


def test_what_a_pool_refuses() -> None:
    with pytest.raises(ValueError, match="'forkserver'"):
        nump.NodeProcessPool(mp_context=multiprocessing.get_context("forkserver"))
    with pytest.raises(ValueError, match="at least one node"):
        nump.NodeProcessPool([])
    with pytest.raises(ValueError, match="workers_per_node must be at least 1"):
        nump.NodeProcessPool(workers_per_node=0)
    with pytest.raises(nump.NodeNotFoundError):
        nump.NodeProcessPool([1023])

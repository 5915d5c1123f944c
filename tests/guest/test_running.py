"""Threads run on their node and their memory lands there: proved by the kernel, page by page."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import numapool as nump
from numapool.base import warn_once

from .harness.machine import Machine, Node
from .support import pages
from .support.children import Cgroup, Outcome, in_child
from .support.nodes import MIB

pytestmark = pytest.mark.machine("two_equal", "lopsided", "hmat_612", "two_equal_612")

_SIZE = 8 * MIB
_ARRAY_BYTES = 40 * MIB  # above 32 MiB malloc maps afresh, and never gives out what is resident


def _result(outcome: Outcome) -> Any:
    assert outcome.signal is None and outcome.error is None, outcome
    return outcome.result


def _nearest(machine: Machine, node: int, fits: Callable[[Node], object]) -> int:
    """The node itself if it fits, else the nearest that does."""
    fitting = [one.node_id for one in machine.online_nodes if fits(one)]
    return min(fitting, key=lambda one: (one != node, machine.distance(node, one), one))


def _cpu_node(machine: Machine, node: int) -> int:
    return _nearest(machine, node, machine.present_cpus)


def _memory_node(machine: Machine, node: int) -> int:
    return _nearest(machine, node, lambda one: one.memory_mib)


class _Array:
    """A NumPy array as memory with an address."""

    def __init__(self) -> None:
        import numpy as np

        self.array = np.ones(_ARRAY_BYTES, np.uint8)
        self.address = self.array.ctypes.data
        self.nbytes = self.array.nbytes


def _array_node() -> int:
    """The one node that a fresh array of this thread is on, by pagemap and by numa_maps."""
    array = _Array()
    (node,) = pages.bytes_by_node(array)
    listed = pages.numa_maps(array).bytes_by_node
    assert set(listed) == {node}
    assert listed[node] >= array.nbytes
    return node


def _buffer_pages() -> tuple[int | None, int | None, set[int], set[int]]:
    with nump.NumaAllocator().allocate(_SIZE) as buffer:
        seen = set(pages.bytes_by_node(buffer))
        return (
            buffer.requested_node,
            buffer.node_id,
            seen,
            set(pages.numa_maps(buffer).bytes_by_node),
        )


@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")
def test_run_on_each_node(machine: Machine) -> None:
    everywhere = os.sched_getaffinity(0)
    for node in machine.online_nodes:
        cpu_node = machine.node(_cpu_node(machine, node.node_id))
        expected = machine.present_cpus(cpu_node)
        with nump.run_on(node.node_id) as placement:
            assert placement.requested_node == node.node_id
            assert placement.node_id == cpu_node.node_id
            assert placement.cpus == expected == tuple(sorted(os.sched_getaffinity(0)))
            memory = _memory_node(machine, cpu_node.node_id)
            assert _array_node() == memory
            assert _buffer_pages() == (cpu_node.node_id, memory, {memory}, {memory})
        assert os.sched_getaffinity(0) == everywhere


@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")
def test_executors_memory_lands_on_their_node(machine: Machine) -> None:
    for node in machine.online_nodes:
        memory = _memory_node(machine, node.node_id)
        with nump.NodeExecutor(node.node_id, 3) as executor:
            assert executor.node_id == _cpu_node(machine, node.node_id)
            assert executor.memory_node == memory
            for _ in range(3):
                assert executor.submit(_array_node).result() == memory
            requested, landed, seen, listed = executor.submit(_buffer_pages).result()
            assert requested in (node.node_id, executor.node_id)
            assert (landed, seen, listed) == (memory, {memory}, {memory})
            cpus = machine.present_cpus(machine.node(executor.node_id))
            assert executor.cpus == cpus
            assert executor.submit(os.sched_getaffinity, 0).result() == set(cpus)


def test_executors_pool_blocks_land_on_their_node(machine: Machine) -> None:
    node = [one for one in machine.online_nodes if machine.present_cpus(one)][-1].node_id
    memory = _memory_node(machine, node)
    with nump.BufferPool() as pool, nump.NodeExecutor(node, 2) as executor:

        def use() -> set[int]:
            with pool.acquire(_SIZE) as buffer:
                return set(pages.bytes_by_node(buffer))

        assert [executor.submit(use).result() for _ in range(4)] == [{memory}] * 4


def test_memory_without_cpus_is_worked_on_from_the_nearest(machine: Machine) -> None:
    bare = [one.node_id for one in machine.online_nodes if not machine.present_cpus(one)]
    for node in bare:
        nearest = _cpu_node(machine, node)

        def work(node: int = node) -> list[str]:
            warn_once._warned_causes.clear()  # another test may have been told
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                for _ in range(2):
                    with nump.run_on(node):
                        pass
                    nump.NodeExecutor(node).shutdown()
            return [str(one.message) for one in caught]

        (said,) = _result(in_child(work))
        assert f"node {node} has no CPUs" in said
        assert f"node {nearest}" in said


def test_a_cpuset_without_the_nodes_cpus(machine: Machine) -> None:
    first, last = (
        [one for one in machine.online_nodes if machine.present_cpus(one)][at] for at in (0, -1)
    )
    cpu = machine.present_cpus(first)[0]

    def work() -> dict[str, Any]:
        warn_once._warned_causes.clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with nump.run_on(last.node_id) as far:
                inside = sorted(os.sched_getaffinity(0))
            with nump.run_on(first.node_id) as near, nump.NodeExecutor(last.node_id) as executor:
                threads = sorted(executor.submit(os.sched_getaffinity, 0).result())
        return {
            "far": [far.requested_node, far.node_id, list(far.cpus)],
            "near": [near.node_id, list(near.cpus)],
            "inside": inside,
            "threads": threads,
            "after": sorted(os.sched_getaffinity(0)),
            "said": [str(one.message) for one in caught],
        }

    with Cgroup("fewer", cpuset_cpus=cpu) as cgroup:
        seen = _result(in_child(work, cgroup=cgroup))
    assert seen.pop("said")[0].startswith(f"node {last.node_id} has no CPUs that this process may")
    assert seen == {
        "far": [last.node_id, first.node_id, [cpu]],
        "near": [first.node_id, [cpu]],
        "inside": [cpu],
        "threads": [cpu],
        "after": [cpu],
    }


def test_a_cpuset_without_the_nodes_memory(machine: Machine) -> None:
    node = [one for one in machine.online_nodes if machine.present_cpus(one)][-1]

    def work() -> dict[str, Any]:
        with nump.NodeExecutor(node.node_id, 1) as executor:
            return {
                "memory_node": executor.memory_node,
                "cpus": list(executor.cpus),
                "landed": executor.submit(_array_node).result(),
            }

    with Cgroup("narrow", cpuset_mems=0) as cgroup:
        seen = _result(in_child(work, cgroup=cgroup))
    cpus = list(machine.present_cpus(node))
    assert seen == {"memory_node": 0, "cpus": cpus, "landed": 0}


def test_a_cpuset_that_changes_inside(machine: Machine) -> None:
    """Left with CPUs that are gone, a thread has what is left; later it gets what comes."""
    first, last = (
        [one for one in machine.online_nodes if machine.present_cpus(one)][at] for at in (0, -1)
    )
    far = machine.present_cpus(last)
    with Cgroup("changing", cpuset_cpus=f"0-{machine.cpu_count - 1}") as cgroup:

        def narrow(cpus: str) -> list[int]:
            (cgroup.path / "cpuset.cpus").write_text(cpus)
            return sorted(os.sched_getaffinity(0))

        def work() -> dict[str, Any]:
            with nump.run_on(first.node_id):
                narrow(f"{far[0]}-{far[-1]}")
                with nump.run_on(last.node_id) as inner:
                    pass
            return {
                "inner": list(inner.cpus),
                "after": sorted(os.sched_getaffinity(0)),
                "widened": narrow(f"0-{machine.cpu_count - 1}"),
            }

        seen = _result(in_child(work, cgroup=cgroup))
    assert seen == {
        "inner": list(far),
        "after": list(far),
        "widened": list(range(machine.cpu_count)),
    }


def test_a_cpuset_that_grows_afterwards(machine: Machine) -> None:
    """A thread that had all CPUs of its cpuset before has what comes to it after the block."""
    first, last = (
        machine.present_cpus(one)[0] for one in machine.online_nodes if machine.present_cpus(one)
    )
    everything = f"0-{machine.cpu_count - 1}"
    with Cgroup("growing", cpuset_cpus=f"{first},{last}") as cgroup:

        def work() -> list[list[int]]:
            seen = []
            with nump.run_on(0):
                seen.append(sorted(os.sched_getaffinity(0)))
            seen.append(sorted(os.sched_getaffinity(0)))
            (cgroup.path / "cpuset.cpus").write_text(everything)
            seen.append(sorted(os.sched_getaffinity(0)))
            return seen

        seen = _result(in_child(work, cgroup=cgroup))
    assert seen == [[first], [first, last], list(range(machine.cpu_count))]


def test_bind_process_binds_cpus_and_memory(machine: Machine) -> None:
    node = [one for one in machine.online_nodes if machine.present_cpus(one)][-1]
    memory = _memory_node(machine, node.node_id)

    def work() -> dict[str, Any]:
        stop = threading.Event()
        older = threading.Thread(target=stop.wait)
        older.start()
        bound = nump.bind_process(node.node_id)
        masks = [
            next(
                line.split()[1]
                for line in (task / "status").read_text().splitlines()
                if line.startswith("Cpus_allowed_list:")
            )
            for task in Path("/proc/self/task").iterdir()
        ]
        seen: list[int] = []
        newer = threading.Thread(target=lambda: seen.append(_array_node()))
        newer.start()
        newer.join()
        stop.set()
        older.join()
        return {
            "memory_node": bound.memory_node,
            "cpus": list(bound.cpus),
            "masks": sorted(set(masks)),
            "landed": [_array_node(), *seen],
        }

    cpus = machine.present_cpus(node)
    seen = _result(in_child(work))
    assert seen == {
        "memory_node": memory,
        "cpus": list(cpus),
        "masks": [f"{cpus[0]}-{cpus[-1]}"],
        "landed": [memory] * 2,
    }

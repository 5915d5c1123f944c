"""run_on: on the node's CPUs inside, as before outside, whatever happens in between."""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from support import child
from support.affinity import own_cpus, shared_cpus, split_machine

import numapool as nump
from numapool import _core
from numapool.threads import affinity, thread_cpus

T = TypeVar("T")


@pytest.fixture
def topology(tmp_path: Path) -> nump.NumaTopology:
    return split_machine(tmp_path)


@pytest.fixture(autouse=True)
def nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("numapool.threads.affinity._narrowed_from", {})
    before = own_cpus()
    yield
    assert own_cpus() == before
    assert _core.home_node() == -1


def in_thread(body: Callable[[], T]) -> T:
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(body()))
    thread.start()
    thread.join()
    assert results, "the thread raised"
    return results[0]


def cpus_of(topology: nump.NumaTopology, node: int) -> frozenset[int]:
    return frozenset(topology.node(node).cpu_cores)


def test_several_nodes_are_all_their_cpus(topology: nump.NumaTopology) -> None:
    both = cpus_of(topology, 0) | cpus_of(topology, 1)
    with nump.run_on(1, topology=topology):
        with nump.run_on([0, 1, 2], topology=topology) as placement:
            assert own_cpus() == both
            assert placement == nump.CpuPlacement(
                requested_node=0, node_id=0, cpus=tuple(sorted(both)), node_ids=(0, 1)
            )
            assert _core.home_node() == -2  # the CPU that it runs on tells
            assert nump.zeros(3).sum() == 0
        assert own_cpus() == cpus_of(topology, 1)
        assert _core.home_node() == 1
    with pytest.raises(ValueError, match="node must be at least one node"):
        nump.run_on([], topology=topology)


@pytest.mark.parametrize("node", [0, 1])
def test_the_kernel_runs_the_thread_on_the_nodes_cpus(
    topology: nump.NumaTopology, node: int
) -> None:
    before = own_cpus()
    with nump.run_on(node, topology=topology) as placement:
        assert own_cpus() == cpus_of(topology, node) != before
        assert placement == nump.CpuPlacement(
            requested_node=node, node_id=node, cpus=tuple(sorted(own_cpus()))
        )
    assert own_cpus() == before


def test_on_this_machine_as_it_is(allocator: nump.NumaAllocator) -> None:
    allowed = own_cpus()
    for node in allocator.topology.nodes:
        expected = allowed.intersection(node.cpu_cores)
        if expected:
            with nump.run_on(node.node_id) as placement:
                assert placement.node_id == node.node_id
                assert own_cpus() == expected


def test_the_cpus_come_back_after_an_exception(topology: nump.NumaTopology) -> None:
    before = own_cpus()
    with pytest.raises(KeyError), nump.run_on(0, topology=topology):
        raise KeyError
    assert own_cpus() == before


def test_blocks_nest_also_for_other_nodes(topology: nump.NumaTopology) -> None:
    with nump.run_on(0, topology=topology):
        with nump.run_on(1, topology=topology) as inner:
            assert inner.node_id == 1
            assert own_cpus() == cpus_of(topology, 1)
            with nump.run_on(0, topology=topology):
                assert own_cpus() == cpus_of(topology, 0)
            assert own_cpus() == cpus_of(topology, 1)
        assert own_cpus() == cpus_of(topology, 0)


def test_any_nesting_unwinds(topology: nump.NumaTopology) -> None:
    """Enter and leave at random: at each depth the CPUs are those of the block."""
    choose = random.Random(7)
    blocks = {node: nump.run_on(node, topology=topology) for node in (0, 1)}

    def descend(depth: int) -> None:
        here = own_cpus()
        for _ in range(choose.randrange(1, 3)):
            node = choose.choice([0, 1])
            try:
                with blocks[node]:
                    assert own_cpus() == cpus_of(topology, node)
                    if depth:
                        descend(depth - 1)
                    if choose.random() < 0.3:
                        raise LookupError
            except LookupError:
                pass
            assert own_cpus() == here

    for _ in range(20):
        descend(4)


def test_one_object_serves_many_threads_at_once(topology: nump.NumaTopology) -> None:
    blocks = [nump.run_on(node, topology=topology) for node in (0, 1)]
    wrong: list[object] = []
    everywhere = own_cpus()

    def work(number: int) -> None:
        for step in range(200):
            node = (number + step) % 2
            with blocks[node]:
                if own_cpus() != cpus_of(topology, node):
                    wrong.append((number, step))
            if own_cpus() != everywhere:
                wrong.append((number, step, "after"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_other_threads_are_not_concerned(topology: nump.NumaTopology) -> None:
    inside, done = threading.Event(), threading.Event()
    seen: list[frozenset[int]] = []

    def look() -> None:
        inside.wait()
        seen.append(own_cpus())
        done.set()

    thread = threading.Thread(target=look)
    thread.start()
    before = own_cpus()
    with nump.run_on(0, topology=topology):
        inside.set()
        done.wait()
    thread.join()
    assert seen == [before]


def test_a_thread_started_inside_may_go_elsewhere(topology: nump.NumaTopology) -> None:
    """It inherits the CPUs of the block; they are not all that it may ever use."""

    def go() -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
        inherited = own_cpus()
        with nump.run_on(1, topology=topology):
            inside = own_cpus()
        return inherited, inside, own_cpus()

    with nump.run_on(0, topology=topology):
        inherited, inside, after = in_thread(go)
    assert inherited == after == cpus_of(topology, 0)
    assert inside == cpus_of(topology, 1)


def test_cpus_that_a_thread_was_denied_are_not_taken(topology: nump.NumaTopology) -> None:
    only = cpus_of(topology, 0)

    def confined() -> nump.CpuPlacement:
        os.sched_setaffinity(0, only)
        with pytest.warns(nump.PlacementWarning, match="node 1 has no CPUs that this process may"):
            block = nump.run_on(1, topology=topology)
            with block as placement:
                assert own_cpus() == only
        assert own_cpus() == only
        return placement

    placement = in_thread(confined)
    assert (placement.requested_node, placement.node_id) == (1, 0)
    assert placement.cpus == tuple(sorted(only))


def test_what_other_threads_may_use_is_their_own_matter(topology: nump.NumaTopology) -> None:
    """Another thread was narrowed to the same CPUs from more: this one gets no more by that."""
    only = cpus_of(topology, 0)

    def confined() -> int:
        os.sched_setaffinity(0, only)
        with nump.run_on(0, topology=topology):
            in_thread(from_everywhere)
            with (
                pytest.warns(nump.PlacementWarning),
                nump.run_on(1, topology=topology) as placement,
            ):
                assert own_cpus() == only
        return placement.node_id

    def from_everywhere() -> bool:
        os.sched_setaffinity(0, everywhere)
        with nump.run_on(0, topology=topology):
            return True

    everywhere = own_cpus()
    assert in_thread(confined) == 0


def test_a_call_that_fails_in_between_leaves_the_former_cpus(
    topology: nump.NumaTopology, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere, only, other = own_cpus(), cpus_of(topology, 0), cpus_of(topology, 1)
    real = thread_cpus.set

    def failing(cpus: Iterable[int], thread: int = 0) -> None:
        wanted = frozenset(cpus)
        if wanted == other:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(wanted, thread)

    def confined() -> frozenset[int]:
        real(only)
        with pytest.raises(OSError, match="Input/output"):
            affinity.pin(1, topology, everywhere)
        return own_cpus()

    monkeypatch.setattr(thread_cpus, "set", failing)
    assert in_thread(confined) == only


def test_memory_without_cpus_is_served_by_the_nearest_cpus_and_says_so_once(
    topology: nump.NumaTopology,
) -> None:
    with (
        pytest.warns(nump.PlacementWarning, match="node 2 has no CPUs") as caught,
        nump.run_on(2, topology=topology) as placement,
    ):
        assert own_cpus() == cpus_of(topology, 1)
    assert (placement.requested_node, placement.node_id) == (2, 1)
    assert caught[0].filename == __file__
    with nump.run_on(2, topology=topology) as again:  # warnings are errors here
        assert again == placement


def test_a_warning_that_is_an_error_changes_nothing(topology: nump.NumaTopology) -> None:
    before = own_cpus()
    with pytest.raises(nump.PlacementWarning), nump.run_on(2, topology=topology):
        raise AssertionError("entered")
    assert own_cpus() == before


def test_it_decorates_functions(topology: nump.NumaTopology) -> None:
    @nump.run_on(0, topology=topology)
    def cpus(depth: int) -> frozenset[int]:
        return cpus(depth - 1) if depth else own_cpus()

    assert cpus(2) == cpus_of(topology, 0)


def test_leaving_in_another_thread_is_an_error(topology: nump.NumaTopology) -> None:
    block = nump.run_on(0, topology=topology)

    def leave() -> str:
        with pytest.raises(RuntimeError) as raised:
            block.__exit__(None, None, None)
        return str(raised.value)

    with block:
        assert "thread that entered" in in_thread(leave)
        assert own_cpus() == cpus_of(topology, 0)
    with pytest.raises(RuntimeError):
        block.__exit__(None, None, None)


def test_memory_that_names_no_node_follows_the_cpus(
    allocator: nump.NumaAllocator, node: int
) -> None:
    _core.set_home_node(node + 1 if allocator.topology.node_count > 1 else 77)
    try:
        with nump.run_on(node) as placement, allocator.allocate(4096) as buffer:
            assert buffer.requested_node == placement.node_id
            assert _core.home_node() == placement.node_id
        assert _core.home_node() != -1
    finally:
        _core.set_home_node(-1)


@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")
def test_nodes_that_share_cpus(tmp_path: Path) -> None:
    """The CPU does not tell the node that memory is to come from: the block does."""
    topology = shared_cpus(tmp_path)
    for node in (0, 1):
        with nump.run_on(node, topology=topology) as placement:
            assert (placement.node_id, _core.home_node()) == (node, node)
            with nump.run_on(1 - node, topology=topology):
                assert _core.home_node() == 1 - node
            assert _core.home_node() == node
    with nump.run_on(2, topology=split_machine(tmp_path / "split")) as placement:
        assert (placement.node_id, _core.home_node()) == (1, 1)  # the node of the CPUs


def test_a_fork_inside_leaves_the_block_in_both(topology: nump.NumaTopology) -> None:
    before = own_cpus()
    with nump.run_on(0, topology=topology):
        pid = os.fork()
        inside = own_cpus() == cpus_of(topology, 0)
    if pid == 0:
        os._exit(0 if inside and own_cpus() == before else 1)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize(
    ("node", "error"),
    [
        (99, nump.NodeNotFoundError),
        (-1, nump.NodeNotFoundError),
        ("zero", ValueError),
        (0.5, TypeError),
    ],
)
def test_nonsense_is_refused(node: object, error: type[Exception]) -> None:
    for call in (nump.run_on, nump.bind_process, nump.NodeExecutor):
        with pytest.raises(error):
            call(node)  # type: ignore[arg-type]


def test_a_platform_without_the_call_is_told(monkeypatch: pytest.MonkeyPatch, node: int) -> None:
    monkeypatch.setattr(thread_cpus, "AVAILABLE", False)
    with pytest.raises(nump.UnsupportedError, match="sched_setaffinity"), nump.run_on(node):
        pass
    for call in (nump.bind_process, nump.NodeExecutor):
        with pytest.raises(nump.UnsupportedError, match="sched_setaffinity"):
            call(node)


def test_cpus_of_no_node_are_told(topology: nump.NumaTopology, tmp_path: Path) -> None:
    for node in (0, 1):
        (tmp_path / f"sys/devices/system/node/node{node}/cpulist").write_text("\n")
    bare = nump.NumaTopology.from_sysfs(tmp_path)
    with (
        pytest.raises(nump.UnsupportedError, match="belongs to a node"),
        nump.run_on(0, topology=bare),
    ):
        pass


REFUSED = """
import os, pathlib, sys, tempfile
import numapool as nump
from support import seccomp
from support.affinity import own_cpus, shared_cpus, split_machine
before = own_cpus()
topology = split_machine(pathlib.Path(tempfile.mkdtemp()))
seccomp.refuse(["sched_setaffinity"], {code})
"""


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS])
def test_a_refused_call_raises_and_changes_nothing(code: int) -> None:
    out = child.check(
        REFUSED.format(code=code)
        + """
for call in (lambda: nump.run_on(0, topology=topology).__enter__(),
             lambda: nump.bind_process(0, topology=topology),
             lambda: nump.NodeExecutor(0, topology=topology)):
    try:
        call()
    except nump.UnsupportedError as error:
        print(error.errno, "sched_setaffinity" in str(error), own_cpus() == before)
"""
    )
    assert out.split() == [str(code), "True", "True"] * 3


def test_nothing_is_asked_of_the_system_where_nothing_changes() -> None:
    """On a machine of one node a container that refuses the call is no hindrance."""
    child.check(
        REFUSED.format(code=errno.EPERM)
        + """
(pathlib.Path(tempfile.mkdtemp()) / "sys").mkdir()
root = pathlib.Path(tempfile.mkdtemp())
(root / "sys/devices/system/node/node0").mkdir(parents=True)
cpus = ",".join(map(str, sorted(before)))
(root / "sys/devices/system/node/node0/cpulist").write_text(cpus + "\\n")
(root / "sys/devices/system/node/node0/meminfo").write_text("Node 0 MemTotal: 1048576 kB\\n")
whole = nump.NumaTopology.from_sysfs(root)
with nump.run_on(0, topology=whole) as placement:
    assert placement.cpus == tuple(sorted(before))
with nump.NodeExecutor(0, topology=whole) as executor:
    assert executor.submit(own_cpus).result() == before
"""
    )

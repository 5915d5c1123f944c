"""Words for nodes: what each names, how sets print, and what a wrong word is told."""

from __future__ import annotations

import gc
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import sysfs_tree, systems

import numapool as nump
from numapool.machine import gpus, node_set
from numapool.memory import migration

IDS = st.frozensets(st.integers(0, 1023), max_size=40)


class Machine:
    """A machine of a tree, in place of the running one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._monkeypatch = monkeypatch
        self._folder = folder

    def is_(self, name: str) -> nump.NumaTopology:
        topology = nump.NumaTopology.from_sysfs(
            sysfs_tree.write(self._folder, sysfs_tree.machine(name))
        )
        self._monkeypatch.setattr(node_set, "current_topology", lambda: topology)
        return topology

    def again(self) -> nump.NumaTopology:
        """Read the tree anew."""
        topology = nump.NumaTopology.from_sysfs(self._folder)
        self._monkeypatch.setattr(node_set, "current_topology", lambda: topology)
        return topology


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    if not systems.ON_LINUX:
        pytest.skip("reads trees of Linux's /sys, with symbolic links")
    return Machine(monkeypatch, tmp_path)


def test_a_set_is_a_frozenset_that_prints_as_it_is_written() -> None:
    some = nump.NodeSet([8, 3, 0, 1, 2])
    assert (str(some), repr(some)) == ("0-3,8", "NodeSet('0-3,8')")
    assert some.ids == tuple(some) == (0, 1, 2, 3, 8)
    assert set(some) == {0, 1, 2, 3, 8}
    assert hash(some) == hash(frozenset({0, 1, 2, 3, 8}))
    for made in (some | {9}, some & {0, 8}, some - {0}, some ^ {8, 9}):
        assert isinstance(made, nump.NodeSet)
    assert str(some & {0, 8}) == "0,8"
    assert pickle.loads(pickle.dumps(some)) == some
    assert str(nump.NodeSet()) == "none"
    assert nump.nodes("none") == nump.NodeSet()


@given(IDS)
def test_a_set_reads_its_own_text(ids: frozenset[int]) -> None:
    known = node_set._known
    node_set._known = nump.NodeSet  # type: ignore[assignment]  # any id is there
    try:
        assert set(nump.nodes(str(nump.NodeSet(ids)))) == ids
    finally:
        node_set._known = known


_WORDS = (
    "all cpu memory-only local fastest none 0 0-3 +0 +9 tier:4 socket:0 socket:9 gpu:0 gpu:GPU-1 "
    "cuda:0 near:/ near:/nowhere pci:0000:00:00.0 tier: socket: gpu: cuda: gpu:-1 socket:x 1000"
)
WORDS = _WORDS.split()


@given(
    st.text(alphabet="0123456789-,:+!acelmnoprtuy/ \t\u0663", max_size=30)
    | st.lists(st.sampled_from(WORDS), max_size=4).map(",".join)
    | st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(
        lambda some: "!" + ",".join(some)
    )
)
def test_any_text_is_a_set_or_an_error_that_says_what_it_takes(text: str) -> None:
    try:
        found = nump.nodes(text)
    except nump.NodeNotFoundError as error:
        assert "this machine has" in str(error)
    except ValueError as error:
        assert str(error).startswith("spec must be ")
    except OSError as error:
        assert any(kind in text for kind in ("near:", "pci:", "gpu:", "cuda:")), error
    else:
        assert isinstance(found, nump.NodeSet)


def test_words_on_a_machine_with_memory_only_nodes(machine: Machine) -> None:
    topology = machine.is_("cxl")
    with_cpus = {one.node_id for one in topology.nodes if one.cpu_cores}
    usable = set(topology.nearest(topology.nodes[0].node_id))
    assert set(nump.nodes("cpu")) == with_cpus
    assert set(nump.nodes("memory-only")) == usable - with_cpus != set()
    assert set(nump.nodes("all")) == usable
    assert set(nump.nodes("!cpu")) == usable - with_cpus
    assert set(nump.nodes("! 0")) == usable - {0}
    assert set(nump.nodes("+0")) == {min(usable)}
    assert set(nump.nodes("cpu,memory-only")) == usable | with_cpus
    assert set(nump.nodes([0, "memory-only"])) == (usable - with_cpus) | {0}
    assert nump.nodes(nump.nodes("cpu")).cpus is not None
    with pytest.raises(ValueError, match=r"spec must be from '\+0' to '\+\d' .* not '\+9'"):
        nump.nodes("+9")


def test_sockets(machine: Machine, tmp_path: Path) -> None:
    topology = machine.is_("sub_clusters")
    with pytest.raises(ValueError, match=r"a socket that is there .the system tells none"):
        nump.nodes("socket:0")
    for node in topology.nodes:
        for cpu in node.cpu_cores:
            place = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"
            place.parent.mkdir(parents=True)
            place.write_text(f"{node.node_id // 8}\n")
    topology = machine.again()
    assert nump.nodes("socket:0").ids == (0, 1, 2, 3, 4, 5, 6, 7)
    assert nump.nodes("socket:1") == nump.nodes("!socket:0")
    for word in ("socket:2", "socket:-1", "socket:01", "socket:x"):
        with pytest.raises(ValueError, match=rf"a socket that is there .there are 0-1.*'{word}'"):
            nump.nodes(word)


def test_the_node_near_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def near(path: str, strict: bool) -> nump.NodeSet:
        asked.append(path)
        return nump.NodeSet([7])

    files = {
        f"proc/driver/nvidia/gpus/0000:{bus}:00.0/information": f"GPU UUID: GPU-{bus}\n"
        for bus in ("17", "3d")
    }
    root = str(sysfs_tree.write(tmp_path, files))
    every = gpus.gpus
    monkeypatch.setattr(gpus, "gpus", lambda _: every(root))
    monkeypatch.setattr(node_set, "_near", near)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert nump.nodes("gpu:0").ids == nump.nodes("cuda:0").ids == (7,)
    assert nump.nodes("gpu:GPU-17").ids == (7,)
    assert asked == ["0000:3d:00.0", "0000:3d:00.0", "0000:17:00.0"]
    words = r"a GPU that is there \(there is gpu:0 \(CUDA_VISIBLE_DEVICES=1\)\), not 'gpu:1'"
    with pytest.raises(ValueError, match=f"spec must be {words}"):
        nump.nodes("gpu:1")


def test_words_leave_out_the_memory_of_devices(machine: Machine) -> None:
    machine.is_("added_memory")
    assert nump.nodes("all").ids == (0, 2, 3, 4)
    assert nump.nodes("memory-only").ids == (2, 3, 4)
    assert nump.nodes("!0").ids == (2, 3, 4)
    assert nump.nodes("+1").ids == (2,)
    assert nump.nodes("1").ids == (1,)


def test_tiers_and_the_fastest(machine: Machine) -> None:
    topology = machine.is_("hbm")
    tiers = {one.memory_tier for one in topology.nodes} - {None}
    if tiers:
        tier = max(tier for tier in tiers if tier is not None)
        of_it = {one.node_id for one in topology.nodes if one.memory_tier == tier}
        assert nump.nodes(f"tier:{tier}") <= of_it
    told = {
        one.node_id: one.read_bandwidth_bytes_s
        for one in topology.nodes
        if one.read_bandwidth_bytes_s is not None
    }
    if told:
        assert {told[one] for one in nump.nodes("fastest")} == {max(told.values())}
    else:
        with pytest.raises(ValueError, match="HMAT"):
            nump.nodes("fastest")
    with pytest.raises(ValueError, match=r"a memory tier that is there .* not 'tier:99'"):
        nump.nodes("tier:99")


def test_the_threads_own_node_and_that_of_a_path(node: int, tmp_path: Path) -> None:
    with nump.run_on(node):
        here = nump.nodes("local")
        assert here == nump.nodes() == nump.nodes(None)
        assert len(here) == 1
    comma = tmp_path / "a,b"
    comma.mkdir()
    if nump.device_node(comma) is not None or not nump.current_topology().multi_node:
        assert len(nump.nodes(f"near:{comma}")) == 1
        assert nump.nodes(f"near:{comma},{node}") >= {node}
    with pytest.raises(FileNotFoundError):
        nump.nodes("near:/nowhere")


@pytest.mark.parametrize(
    "spec", ["zero", "", "0-", "1-0", "0,,1", "near:", "tier", "!", "cpu:0", "-1"]
)
def test_wrong_words(spec: str) -> None:
    with pytest.raises(ValueError, match=r"spec must be the id of a node .* or words"):
        nump.nodes(spec)


def test_other_wrong_specs() -> None:
    bad: Any
    for bad in (1.5, b"0", [0.5], object()):
        with pytest.raises(TypeError, match="spec must be the id of a node"):
            nump.nodes(bad)
    with pytest.raises(nump.NodeNotFoundError, match="no node 1000; this machine has"):
        nump.nodes("1000")
    with pytest.raises(nump.NodeNotFoundError):
        nump.nodes(-1)


def test_one_node_wherever_a_node_is_asked_for(node: int, allocator: nump.NumaAllocator) -> None:
    name = str(node)
    only = nump.NodeSet([node])
    with nump.BufferPool() as pool:
        for spec in (name, only):
            with allocator.allocate(4096, spec) as buffer, pool.acquire(4096, spec) as lent:
                assert (buffer.requested_node, lent.requested_node) == (node, node)
                assert buffer.migrate(name).node_id == node
        with pool.acquire(4096, node=only) as lent:
            assert lent.requested_node == node
        with pytest.raises(ValueError, match=r"node must be the id of a node .* not 'zero'"):
            pool.acquire(4096, "zero")
        with pytest.raises(nump.NodeNotFoundError):
            pool.acquire(4096, "1000")
    assert nump.zeros(3, node=name).sum() == 0
    with nump.run_on(name) as placement:
        assert placement.requested_node == node
    if systems.ON_LINUX:  # Windows has no policies of threads, and interleaves nothing
        with nump.memory_policy(only):
            pass
        with allocator.allocate_interleaved(4096, "all") as spread:
            assert spread.nbytes == 4096
    with pytest.raises(ValueError, match="node must be at least one node, not 'none'"):
        nump.migrate(bytearray(4096), nump.NodeSet())


def test_of_several_nodes_memory_goes_to_one_that_has_it_or_has_room(
    node: int, allocator: nump.NumaAllocator, monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    topology = machine.is_("two_socket")
    monkeypatch.setattr(migration, "current_topology", lambda: topology)
    room = {0: 10_000, 1: 20_000}
    monkeypatch.setattr("numapool._core.room_for_pages", room.__getitem__)

    def target(nodes: nump.NodesLike, held: dict[int, int]) -> int:
        where = nump.Placement(bytes_by_node=held, page_size_bytes=4096, method="move_pages")
        return migration.target_of(nodes, lambda: where)

    assert target("0,1", {1: 8_000}) == 1  # nothing is moved
    with nump.run_on(node):  # node 0 of the tree
        assert target([1, 0], {1: 4_000, 0: 4_000}) == 0
        assert target([1, 0], {5: 15_000}) == 1
        assert target([1, 0], {5: 90_000}) == 0
    assert target(1, {0: 1}) == 1
    with pytest.raises(nump.NodeNotFoundError):
        target([0, 4000], {0: 1})
    monkeypatch.undo()
    with allocator.allocate(4096, node) as buffer:
        assert buffer.migrate([node]).node_id == node
        assert buffer.migrate({node, str(node)}).node_id == node
        with pytest.raises(ValueError, match="node must be at least one node"):
            buffer.migrate([])


@pytest.mark.parametrize("several", [[0, 1], (1, 0), {0, 1}, "0,1", ["0", 1], nump.NodeSet([0, 1])])
def test_memory_of_any_of_several_nodes(several: nump.NodesLike, machine: Machine) -> None:
    two = machine.is_("two_socket")
    allocator = nump.NumaAllocator(two)
    with allocator.allocate(4096, several) as buffer:
        assert buffer.requested_node in (0, 1)
        assert memoryview(buffer)[0] == 0


@pytest.mark.parametrize("several", [[0, 1], {1, 0}, "0-1", nump.NodeSet([0, 1]), ("0", 1)])
def test_a_pool_lends_of_any_of_several_nodes(several: nump.NodesLike, machine: Machine) -> None:
    pool = nump.BufferPool(nump.NumaAllocator(machine.is_("two_socket")))
    with pool:
        assert pool.reserve("64KiB", 1, several) >= 1
        for block in (pool.acquire(1 << 16, several), pool.acquire(1 << 20, node=several)):
            assert block.requested_node in (0, 1)
            block.close()
        with pool.ring(4096, 2, several) as ring, ring.acquire() as lent:
            assert lent.node_id in (0, 1)
        array = nump.zeros(1000, node=several, pool=pool)
        assert array.sum() == 0
        del array
        total = pool.statistics().total
        assert (total.spills, total.in_use_bytes) == (0, 0)
        assert total.hits >= 1
        freed = pool.trim(1, several)
        assert 0 < freed <= total.retained_bytes
        assert freed + pool.trim(node=several) == total.retained_bytes
        with nump.numpy_allocator(several, pool) as handler:
            assert (handler.node_id, handler.node_ids) == (None, (0, 1))
            assert "0-1" in repr(handler)
    nothing: Any
    for nothing in ([], nump.NodeSet()):
        with pytest.raises(ValueError, match="node must be at least one node, not "):
            nump.BufferPool().acquire(4096, nothing)
    with nump.BufferPool() as other, pytest.raises(nump.NodeNotFoundError, match="no node 4000"):
        other.acquire(4096, [0, 4000])


def test_a_pool_reads_many_nodes_and_arrays_of_them(node: int) -> None:
    with nump.BufferPool() as pool:
        with pytest.raises(nump.NodeNotFoundError):
            pool.acquire(4096, nump.NodeSet({node, *range(900, 940)}))
        with pytest.raises(nump.NodeNotFoundError):
            pool.acquire(4096, frozenset({node, 2**40}))  # too large for any
        with pool.acquire(4096, np.array([node, node])) as lent:
            assert lent.requested_node == node
        with pool.acquire(4096, np.array(node)) as lent:
            assert lent.requested_node == node
        with pool.acquire(4096, frozenset({str(node)})) as lent:
            assert lent.requested_node == node


def test_a_set_without_nodes_is_none_to_allocate_on(allocator: nump.NumaAllocator) -> None:
    nothing: Any
    for nothing in ([], (), "none", nump.NodeSet(), [[]]):
        with pytest.raises(ValueError, match=r"node must be at least one node, not "):
            allocator.allocate(4096, nothing)
    for wrong in (b"0", [0.5], ["zero"], 1.5, object()):
        with pytest.raises((TypeError, ValueError), match=r"node must be the id of a node"):
            allocator.allocate(4096, wrong)  # type: ignore[arg-type]
    with pytest.raises(nump.NodeNotFoundError, match="no node 4000"):
        allocator.allocate(4096, [0, 4000])


def test_a_pool_knows_the_set_that_it_was_asked_for_last(node: int) -> None:
    class Asked(frozenset[int]):
        """A set with attributes: it may hold the pool."""

    pool = nump.BufferPool()
    for nodes in (nump.NodeSet([node]), frozenset({node}), Asked({node})):
        before = sys.getrefcount(nodes)
        for _ in range(3):
            with pool.acquire(4096, nodes) as lent:
                assert lent.requested_node == node
        with pool.acquire(4096, node) as lent:
            assert lent.requested_node == node
        assert sys.getrefcount(nodes) - before in (0, 1)
        pool.acquire(4096, nump.NodeSet([node])).close()
        assert sys.getrefcount(nodes) == before  # another one is kept now
        with pytest.raises(nump.NodeNotFoundError, match="no node 4000"):
            pool.acquire(4096, nump.NodeSet([node, 4000]))
    last = nump.NodeSet([node])
    before = sys.getrefcount(last)
    pool.acquire(4096, last).close()
    del pool
    gc.collect()
    assert sys.getrefcount(last) == before

"""Odd machines, captured or made up: what from_sysfs makes of each, and what follows from it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from support import sysfs_tree

import numapool as nump

KIB = 1024


@pytest.fixture(params=sysfs_tree.names())
def any_machine(request: pytest.FixtureRequest, tmp_path: Path) -> nump.NumaTopology:
    return nump.NumaTopology.from_sysfs(
        sysfs_tree.write(tmp_path, sysfs_tree.machine(request.param))
    )


def read(name: str, tmp_path: Path) -> nump.NumaTopology:
    return nump.NumaTopology.from_sysfs(sysfs_tree.write(tmp_path, sysfs_tree.machine(name)))


@pytest.mark.parametrize("name", sysfs_tree.names())
def test_what_is_read_of_each(name: str, tmp_path: Path) -> None:
    assert sysfs_tree.describe(read(name, tmp_path)) == sysfs_tree.expected(name)


@pytest.mark.parametrize(
    "rewrite",
    [
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="carriage_returns"),
        pytest.param(lambda text: text.replace("\n", " \t\n"), id="blanks"),
        pytest.param(lambda text: f"{text}\n\n", id="empty_lines"),
        pytest.param(lambda text: text.rstrip("\n"), id="no_last_newline"),
    ],
)
@pytest.mark.parametrize("name", ["two_socket", "cxl", "masks", "no_node_folder", "powervm_guest"])
def test_how_lines_end_changes_nothing(
    name: str, rewrite: Callable[[str], str], tmp_path: Path
) -> None:
    """Copies come by way of editors, archives and other systems."""
    files = {path: rewrite(text) for path, text in sysfs_tree.machine(name).items()}
    topo = nump.NumaTopology.from_sysfs(sysfs_tree.write(tmp_path, files))
    assert sysfs_tree.describe(topo) == sysfs_tree.expected(name)


def test_what_holds_for_every_machine(any_machine: nump.NumaTopology) -> None:
    topo = any_machine
    ids = [node.node_id for node in topo.nodes]
    assert ids == sorted(set(ids))
    assert topo.node_count == len(ids) >= 1
    assert [len(row) for row in topo.distance_matrix] == [len(ids)] * len(ids)
    assert set(topo.allowed_node_ids) <= set(ids)
    usable = {
        node.node_id
        for node in topo.nodes
        if node.total_memory_bytes != 0 and node.node_id in topo.allowed_node_ids
    }
    assert topo.multi_node == (len(usable) > 1)
    for node in topo.nodes:
        near = topo.nearest(node.node_id)
        assert set(near) == usable
        others = [one for one in near if one != node.node_id]
        assert others == sorted(others, key=lambda one: (topo.distance(node.node_id, one), one))
        assert node.node_id not in near or near[0] == node.node_id
        assert list(node.cpu_cores) == sorted(set(node.cpu_cores))
        for cpu in node.cpu_cores:
            assert topo.node_of_cpu(cpu) is not None
    again = nump.NumaTopology.from_sysfs(topo._root)
    assert again == topo
    assert hash(again) == hash(topo)
    assert topo.to_dict()["nodes"][0]["node_id"] == ids[0]


def test_free_memory_is_read_anew(tmp_path: Path) -> None:
    topo = read("two_socket", tmp_path)
    meminfo = tmp_path / sysfs_tree.NODES / "node1/meminfo"
    assert topo.node(1).free_memory_bytes() == 90000000 * KIB
    meminfo.write_text("Node 1 MemTotal: 132118844 kB\nNode 1 MemFree: 5 kB\n")
    assert topo.node(1).free_memory_bytes() == 5 * KIB
    meminfo.write_text("")  # unknown: not a node without memory
    with pytest.raises(OSError, match="node1/meminfo"):
        topo.node(1).free_memory_bytes()
    meminfo.write_text("Node 1 MemTotal: 132118844 kB\n")
    with pytest.raises(nump.TopologyError, match=r"node1/meminfo: .* has no MemFree in kB"):
        topo.node(1).free_memory_bytes()
    meminfo.unlink()
    meminfo.parent.joinpath("cpulist").unlink()
    meminfo.parent.joinpath("distance").unlink()
    meminfo.parent.rmdir()
    with pytest.raises(FileNotFoundError, match="node1"):
        topo.node(1).free_memory_bytes()


@pytest.mark.parametrize(
    ("name", "node", "free_kib"),
    [
        ("no_node_folder", 0, 1000000),  # the machine's
        ("whole_machine_lazy", 0, 22000000),  # the machine's is the only node's, and larger
        ("xen_guest", 0, 2500000),  # the node's is larger
        ("no_memory", 1, 0),
        ("cxl", 2, 268000000),
    ],
)
def test_free_memory(name: str, node: int, free_kib: int, tmp_path: Path) -> None:
    assert read(name, tmp_path).node(node).free_memory_bytes() == free_kib * KIB


def test_nodes_of_cpus(tmp_path: Path) -> None:
    topo = read("two_socket", tmp_path)
    assert topo.node_of_cpu(47) == 0
    assert topo.node_of_cpu(48) == 1
    assert topo.node_of_cpu(64) is topo.node_of_cpu(-1) is topo.node_of_cpu(2**40) is None
    assert read("offline_cpus", tmp_path / "offline").node_of_cpu(1) is None
    assert read("interleaved_cpus", tmp_path / "interleaved").node_of_cpu(95) == 1


@pytest.mark.parametrize(
    ("name", "node", "nearest"),
    [
        ("asymmetric", 0, (0, 1, 3, 2)),  # by the row, not by the column
        ("asymmetric", 1, (1, 0, 2, 3)),
        ("asymmetric", 2, (2, 3, 1, 0)),
        ("asymmetric", 3, (3, 0, 2, 1)),
        ("arm_server", 3, (3, 2, 0, 1)),
        ("hbm", 0, (0, 2, 1, 3)),
        ("cxl", 0, (0, 2, 1, 3)),
        ("eight_sockets", 5, (5, 4, 6, 7, 0, 1, 2, 3)),  # equally far: by id
        ("sub_clusters", 9, (9, 8, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15, 0, 1, 2, 3)),
        ("sparse", 2, (2, 0, 5)),
        ("high_ids", 8, (8, 0, 252, 253, 254, 255)),
        ("node_1023", 1023, (1023, 0)),
        ("no_memory", 1, (2, 0)),  # itself has none
        ("powervm_guest", 0, (2, 3)),
        ("self_is_far", 0, (0, 1)),  # first to itself, whatever the firmware says
        ("cpuset", 0, (2,)),
        ("nothing_allowed", 0, ()),
        ("empty_files", 0, (0, 1)),  # how much memory they have is unknown
    ],
)
def test_nearest(name: str, node: int, nearest: tuple[int, ...], tmp_path: Path) -> None:
    assert read(name, tmp_path).nearest(node) == nearest


@pytest.mark.parametrize(
    ("name", "is_numa"),
    [
        ("two_socket", True),
        ("no_memory", True),
        ("powervm_guest", True),
        ("cpuset", False),
        ("nothing_allowed", False),
        ("empty_files", True),
        ("gone_by_now", False),
        ("no_node_folder", False),
        ("xen_guest", False),
    ],
)
def test_is_numa(name: str, is_numa: bool, tmp_path: Path) -> None:
    assert read(name, tmp_path).multi_node is is_numa


def test_ids_are_no_places_in_the_matrix(tmp_path: Path) -> None:
    topo = read("sparse", tmp_path)
    assert topo.distance(0, 5) == 28
    assert topo.distance(2, 0) == 17
    assert topo.node(5).cpu_cores == (20, 21, 22, 23)
    for call in (topo.node, topo.nearest, lambda one: topo.distance(0, one)):
        with pytest.raises(nump.NodeNotFoundError, match="no node 1; this machine has: 0, 2, 5"):
            call(1)


ODD = {
    "no_memory": "a node with CPUs and no memory, and one with memory and no CPUs",
    "fake_nodes": "nodes with the same CPUs",
    "virtio_mem": "a node that was added, whose memory is movable",
    "added_memory": "expanders, and a device's memory",
    "cxl": "expanders with figures",
    "sparse": "ids with gaps",
    "gpu_memory": "empty nodes",
}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs sched_setaffinity(2)")
@pytest.mark.parametrize("name", ODD)
def test_threads_run_near_each_node_of_odd_machines(name: str, tmp_path: Path) -> None:
    """On the CPUs that are here: the node's own, or those of the nearest node with some."""
    topo = read(name, tmp_path)
    mine = os.sched_getaffinity(0)
    with_cpus = {one.node_id: mine & set(one.cpu_cores) for one in topo.nodes}
    with_cpus = {node: cpus for node, cpus in with_cpus.items() if cpus}
    if not with_cpus:
        pytest.skip("this process may use none of the machine's CPUs")
    for node in topo.nodes:
        wanted = node.node_id
        nearest = min(with_cpus, key=lambda one: (one != wanted, topo.distance(wanted, one), one))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nump.PlacementWarning)
            with nump.run_on(wanted, topology=topo) as placement:
                assert os.sched_getaffinity(0) == set(placement.cpus) == with_cpus[nearest]
            with nump.NodeExecutor(wanted, 1, topology=topo) as executor:
                assert executor.submit(os.sched_getaffinity, 0).result() == with_cpus[nearest]
        assert (placement.requested_node, placement.node_id) == (wanted, nearest)
        assert executor.node_id == nearest
        # Memory: the node's own, else the nearest that may be used unasked; expanders come last.
        order = topo._core.memory_order(wanted)
        own = topo.nearest(wanted)[:1] == (wanted,)
        assert order and (order[0] == wanted or not own)
        assert set(order) - {wanted} <= set(topo.default_node_ids)
    assert os.sched_getaffinity(0) == mine

"""Odd machines, captured or made up: what from_sysfs makes of each."""

from __future__ import annotations

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


def test_there_are_enough_of_them() -> None:
    assert len(sysfs_tree.names()) >= 12


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
        if node.total_memory_bytes and node.node_id in topo.allowed_node_ids
    }
    assert topo.is_numa == (len(usable) > 1)
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


def test_two_socket(tmp_path: Path) -> None:
    topo = read("two_socket", tmp_path)
    assert topo.is_numa
    assert [len(node.cpu_cores) for node in topo.nodes] == [32, 32]
    assert topo.node(1).total_memory_bytes == 132118844 * KIB
    assert topo.node(1).free_memory_bytes() == 90000000 * KIB
    assert topo.distance_matrix == ((10, 21), (21, 10))
    assert not topo.distances_assumed
    assert topo.node_of_cpu(47) == 0
    assert topo.node_of_cpu(64) is None


def test_asymmetric(tmp_path: Path) -> None:
    topo = read("asymmetric", tmp_path)
    assert topo.distance(0, 1) == 21
    assert topo.distance(1, 0) == 22
    assert topo.nearest(0) == (0, 1, 3, 2)
    assert topo.nearest(1) == (1, 0, 2, 3)
    assert topo.nearest(2) == (2, 3, 1, 0)
    assert topo.nearest(3) == (3, 0, 2, 1)


def test_sparse_ids_are_no_columns(tmp_path: Path) -> None:
    topo = read("sparse", tmp_path)
    assert [node.node_id for node in topo.nodes] == [0, 2, 5]
    assert topo.distance(0, 5) == 28
    assert topo.distance(2, 0) == 17
    assert topo.allowed_node_ids == (0, 2, 5)
    with pytest.raises(nump.NodeNotFoundError, match="no node 1; this machine has: 0, 2, 5"):
        topo.distance(0, 1)


def test_no_memory(tmp_path: Path) -> None:
    topo = read("no_memory", tmp_path)
    assert topo.node(1).total_memory_bytes == 0
    assert topo.node(2).cpu_cores == ()
    assert topo.nearest(1) == (2, 0)
    assert topo.nearest(0) == (0, 2)


def test_cxl(tmp_path: Path) -> None:
    topo = read("cxl", tmp_path)
    near, far, silent = topo.node(0), topo.node(2), topo.node(3)
    assert (near.memory_tier, far.memory_tier) == (4, 22)
    assert (near.read_latency_ns, near.write_latency_ns) == (85, 90)
    assert (far.read_latency_ns, far.write_latency_ns) == (250, 310)
    assert far.read_bandwidth_bytes_s == 30720 << 20
    assert far.write_bandwidth_bytes_s == 15360 << 20
    assert silent.read_latency_ns is silent.read_bandwidth_bytes_s is None
    assert topo.nearest(0) == (0, 2, 1, 3)


def test_no_node_folder(tmp_path: Path) -> None:
    topo = read("no_node_folder", tmp_path)
    assert topo.node_count == 1
    assert topo.node(0).cpu_cores == (0, 1, 2, 3)
    assert topo.node(0).total_memory_bytes == 8000000 * KIB
    assert topo.node(0).free_memory_bytes() == 1000000 * KIB
    assert not topo.is_numa


@pytest.mark.parametrize("name", ["no_distance", "gone_by_now", "empty_files"])
def test_distances_that_are_missing_are_assumed(name: str, tmp_path: Path) -> None:
    topo = read(name, tmp_path)
    assert topo.distances_assumed
    assert topo.distance_matrix == ((10, 20), (20, 10))


def test_offline_cpus(tmp_path: Path) -> None:
    topo = read("offline_cpus", tmp_path)
    assert [node.cpu_cores for node in topo.nodes] == [(0, 2), ()]
    assert topo.node_of_cpu(1) is None
    assert topo.is_numa


def test_cpuset(tmp_path: Path) -> None:
    topo = read("cpuset", tmp_path)
    assert topo.node_count == 4
    assert topo.allowed_node_ids == (2,)
    assert topo.nearest(0) == (2,)
    assert not topo.is_numa


def test_eight_sockets(tmp_path: Path) -> None:
    topo = read("eight_sockets", tmp_path)
    assert sum(len(node.cpu_cores) for node in topo.nodes) == 256
    assert topo.nearest(5) == (5, 4, 6, 7, 0, 1, 2, 3)
    assert topo.node_of_cpu(255) == 7


def test_high_ids(tmp_path: Path) -> None:
    topo = read("high_ids", tmp_path)
    assert [node.node_id for node in topo.nodes] == [0, 8, 252, 253, 254, 255]
    assert topo.nearest(8) == (8, 0, 252, 253, 254, 255)
    assert read("node_1023", tmp_path / "other").nearest(1023) == (1023, 0)


def test_no_online_file(tmp_path: Path) -> None:
    topo = read("no_online_file", tmp_path)
    assert [node.node_id for node in topo.nodes] == [0, 3]
    assert topo.distance(0, 3) == 20


def test_masks(tmp_path: Path) -> None:
    topo = read("masks", tmp_path)
    assert [node.cpu_cores for node in topo.nodes] == [(0, 1, 2, 3), (31, 32)]


def test_only_node_has_what_the_machine_has(tmp_path: Path) -> None:
    topo = read("whole_machine_lazy", tmp_path)
    assert topo.node(0).total_memory_bytes == 24000000 * KIB
    assert topo.node(0).free_memory_bytes() == 22000000 * KIB


def test_a_node_is_nearest_to_itself_whatever_the_firmware_says(tmp_path: Path) -> None:
    assert read("self_is_far", tmp_path).nearest(0) == (0, 1)

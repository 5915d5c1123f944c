"""One attribute that is wrong costs that attribute: the right value of everything else."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import sysfs_tree
from support.sysfs_tree import NODES

import numapool as nump

NODE2 = f"{NODES}/node2"
SPEED = f"{NODE2}/access0/initiators"
TIER = "sys/devices/virtual/memory_tiering/memory_tier4/nodelist"
KIB = 16 << 20
ROW2 = "21 21 10 12\n"


def machine() -> dict[str, str | bytes]:
    """Four nodes, two to a socket, with every attribute that there is."""
    files: dict[str, str | bytes] = {
        **{f"{NODES}/{name}": "0-3\n" for name in ("online", "possible", "has_memory", "has_cpu")},
        TIER: "0-3\n",
        "proc/self/status": "Name:\tx\nMems_allowed_list:\t0-3\n",
        "proc/meminfo": f"MemTotal: {4 * KIB} kB\nMemFree: 9 kB\n",
    }
    for i in range(4):
        node = f"{NODES}/node{i}"
        files |= {
            f"{node}/cpulist": f"{4 * i}-{4 * i + 3}\n",
            f"{node}/meminfo": f"Node {i} MemTotal: {KIB} kB\nNode {i} MemFree: 9 kB\n",
            f"{node}/distance": " ".join(
                "10" if i == j else "12" if i // 2 == j // 2 else "21" for j in range(4)
            ),
            f"{node}/access0/initiators/read_latency": "80\n",
            f"{node}/access0/initiators/read_bandwidth": "20000\n",
            f"{node}/hugepages/hugepages-2048kB/nr_hugepages": "0\n",
        }
    return files


GONE, FOLDER, FIFO = "(gone)", "(folder)", "(fifo)"
UNKNOWN: dict[str, Any] = {"total_memory_bytes": None}
NO_CPUS: dict[str, Any] = {"cpu_cores": []}
NO_LATENCY: dict[str, Any] = {"read_latency_ns": None}
NO_SPEED: dict[str, Any] = {**NO_LATENCY, "read_bandwidth_bytes_s": None}
ALL_NO_TIER = {node: {"memory_tier": None} for node in range(4)}

# The file, what it holds instead, what node 2 (or each node named) has instead, and what a note
# says (None: there is no note).
CASES: dict[str, tuple[str, str, dict[Any, Any], str | None]] = {
    "meminfo_empty": (f"{NODE2}/meminfo", "", UNKNOWN, "node2/meminfo"),
    "meminfo_cut_in_key": (f"{NODE2}/meminfo", "Node 2 MemTo", UNKNOWN, "no MemTotal"),
    "meminfo_cut_in_number": (f"{NODE2}/meminfo", "Node 2 MemTotal: 16", UNKNOWN, "no MemTotal"),
    "meminfo_no_total": (f"{NODE2}/meminfo", "Node 2 MemFree: 16 kB\n", UNKNOWN, "no MemTotal"),
    "meminfo_negative": (f"{NODE2}/meminfo", "Node 2 MemTotal: -5 kB\n", UNKNOWN, "no MemTotal"),
    "meminfo_too_large": (f"{NODE2}/meminfo", f"MemTotal: {2**64} kB\n", UNKNOWN, "no MemTotal"),
    "meminfo_MB": (f"{NODE2}/meminfo", "Node 2 MemTotal: 16384 MB\n", UNKNOWN, "no MemTotal"),
    "meminfo_gone": (f"{NODE2}/meminfo", GONE, UNKNOWN, "node2/meminfo: No such file"),
    "meminfo_folder": (f"{NODE2}/meminfo", FOLDER, UNKNOWN, "node2/meminfo"),
    "meminfo_fifo": (f"{NODE2}/meminfo", FIFO, UNKNOWN, "node2/meminfo"),
    "cpulist_empty": (f"{NODE2}/cpulist", "", NO_CPUS, "has_cpu lists the node"),
    "cpulist_words": (f"{NODE2}/cpulist", "abc\n", NO_CPUS, "not a list of CPUs"),
    "cpulist_cut": (f"{NODE2}/cpulist", "8-", NO_CPUS, "not a list of CPUs"),
    "cpulist_comma": (f"{NODE2}/cpulist", "8-11,\n", NO_CPUS, "not a list of CPUs"),
    "cpulist_backwards": (f"{NODE2}/cpulist", "11-8\n", NO_CPUS, "not a list of CPUs"),
    "cpulist_stride": (f"{NODE2}/cpulist", "8-11:1/2\n", {"cpu_cores": [8, 10]}, None),
    "cpulist_too_large": (f"{NODE2}/cpulist", "8-70000\n", NO_CPUS, "not a list of CPUs"),
    "cpulist_folder": (f"{NODE2}/cpulist", FOLDER, NO_CPUS, "node2/cpulist"),
    "cpulist_overlap": (f"{NODE2}/cpulist", "4-11\n", {"cpu_cores": list(range(4, 12))}, None),
    "distance_empty": (f"{NODE2}/distance", "", {}, "no distances from node 2; the distances to"),
    "distance_gone": (f"{NODE2}/distance", GONE, {}, "no distances from node 2"),
    "distance_3_columns": (f"{NODE2}/distance", "21 21 10\n", {}, "has 3 columns"),
    "distance_5_columns": (f"{NODE2}/distance", "21 21 10 12 255\n", {}, "has 5 columns"),
    "distance_0": (f"{NODE2}/distance", "0 0 0 0\n", {}, "no row of distances"),
    "distance_negative": (f"{NODE2}/distance", "21 -1 10 12\n", {}, "no row of distances"),
    "distance_words": (f"{NODE2}/distance", "21 xx 10 12\n", {}, "no row of distances"),
    "distance_tabs": (f"{NODE2}/distance", "21\t21\t10\t12\n", {}, None),
    "distance_too_large": (f"{NODE2}/distance", f"21 {10**11} 10 12", {}, "no row of distances"),
    "distance_folder": (f"{NODE2}/distance", FOLDER, {}, "node2/distance"),
    "online_empty": (f"{NODES}/online", "", {}, None),
    "online_words": (f"{NODES}/online", "foo\n", {}, "node folders say"),
    "online_gone": (f"{NODES}/online", GONE, {}, None),
    "online_too_large": (f"{NODES}/online", "0-3,1024\n", {}, "node folders say"),
    "tier_words": (TIER, "zzz\n", ALL_NO_TIER, "the tier is left out"),
    "tier_too_large": (TIER, "0-3000\n", ALL_NO_TIER, "the tier is left out"),
    "latency_unit": (f"{SPEED}/read_latency", "80ns\n", NO_LATENCY, "is not a number"),
    "latency_negative": (f"{SPEED}/read_latency", "-1\n", NO_LATENCY, "is not a number"),
    "bandwidth_too_large": (
        f"{SPEED}/read_bandwidth",
        f"{2**65}\n",
        {"read_bandwidth_bytes_s": None},
        "is not a number",
    ),
    "speed_no_folder": (f"{NODE2}/access0", FIFO, NO_SPEED, "speed is unknown"),
    "allowed_words": ("proc/self/status", "Mems_allowed_list:\tfoo\n", {}, "counts as allowed"),
    "allowed_empty": ("proc/self/status", "Mems_allowed_list:\t\n", {}, "counts as allowed"),
    "allowed_gone": ("proc/self/status", GONE, {}, None),
    "total_words": ("proc/meminfo", "zzz", {}, None),
    "has_memory_words": (f"{NODES}/has_memory", "zzz", {}, None),
    "possible_words": (f"{NODES}/possible", "zzz", {}, None),
    "hugetlb_words": (f"{NODE2}/hugepages/hugepages-2048kB/nr_hugepages", "many\n", {}, None),
}


def write(root: Path, changed: dict[str, str]) -> Path:
    files = machine()
    for path, text in changed.items():
        for one in [one for one in files if one == path or one.startswith(f"{path}/")]:
            del files[one]
        if text == FOLDER:
            files[f"{path}/"] = ""
        elif text not in (GONE, FIFO):
            files[path] = text
    sysfs_tree.write(root, files)
    for path, text in changed.items():
        if text == FIFO:
            os.mkfifo(root / path)
    return root


def good(tmp_path: Path) -> dict[str, Any]:
    topology = nump.NumaTopology.from_sysfs(write(tmp_path / "good", {}), strict=True)
    assert topology.notes == ()
    return topology.to_dict()


@pytest.mark.parametrize("name", CASES)
def test_one_bad_attribute(name: str, tmp_path: Path) -> None:
    path, text, changes, note = CASES[name]
    expected = good(tmp_path)
    by_node = changes if 0 in changes else {2: changes}
    for node, changed in by_node.items():
        expected["nodes"][node] |= changed
    topology = nump.NumaTopology.from_sysfs(write(tmp_path / "bad", {path: text}))
    found = topology.to_dict()
    notes = found.pop("notes")
    del expected["notes"]
    assert found == expected
    assert topology.nearest(2) == (2, 3, 0, 1)
    assert notes == list(topology.notes)
    assert bool(notes) == (note is not None)
    assert note is None or any(note in one for one in notes), notes


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """The node has memory, for has_memory lists it, and is as far as the others say."""
    topology = nump.NumaTopology.from_sysfs(write(tmp_path, {NODE2: GONE}))
    assert topology.node(2).total_memory_bytes is None
    assert topology.node(2).cpu_cores == ()
    assert topology.distance_matrix[2] == (21, 21, 10, 12)
    assert topology.nearest(3) == (3, 2, 0, 1)


def test_a_node_without_memory_is_none_of_unknown_memory(tmp_path: Path) -> None:
    changed = {f"{NODES}/has_memory": "0-1,3\n", f"{NODE2}/meminfo": GONE}
    topology = nump.NumaTopology.from_sysfs(write(tmp_path, changed))
    assert topology.node(2).total_memory_bytes == topology.node(2).free_memory_bytes() == 0
    assert topology.nearest(2) == (3, 0, 1)
    assert topology.notes == ()


def test_more_nodes_online_than_folders(tmp_path: Path) -> None:
    """Rows with a column for each node that has a folder."""
    changed = {f"{NODES}/online": "0-5\n", f"{NODES}/possible": "0-7\n"}
    topology = nump.NumaTopology.from_sysfs(write(tmp_path, changed))
    assert topology.node_count == 6
    assert topology.distance_matrix[2] == (21, 21, 10, 12, 21, 21)
    assert topology.distances_assumed
    assert any("from nodes 4, 5, and not all" in note for note in topology.notes)
    assert topology.nearest(0) == (0, 1, 2, 3)


def test_columns_for_possible_nodes(tmp_path: Path) -> None:
    changed = {f"{NODES}/online": "0,2-3\n", f"{NODES}/node1": GONE}
    topology = nump.NumaTopology.from_sysfs(write(tmp_path, changed), strict=True)
    assert [node.node_id for node in topology.nodes] == [0, 2, 3]
    assert topology.distance_matrix == ((10, 21, 21), (21, 10, 12), (21, 12, 10))
    assert not topology.distances_assumed
    assert topology.notes == ()


def test_no_distance_between_two(tmp_path: Path) -> None:
    """What no row says is no nearer than what is known."""
    changed = {f"{NODES}/node{node}/distance": GONE for node in (2, 3)}
    changed[f"{NODES}/node0/distance"] = "10 12 60 60"
    topology = nump.NumaTopology.from_sysfs(write(tmp_path, changed))
    assert topology.distance_matrix[2] == (60, 21, 10, 60)
    assert topology.distances_assumed


def test_the_mask_stands_in_for_the_list(tmp_path: Path) -> None:
    changed = {f"{NODE2}/cpulist": "8-\n", f"{NODE2}/cpumap": "f00\n"}
    topology = nump.NumaTopology.from_sysfs(write(tmp_path, changed))
    assert topology.node(2).cpu_cores == (8, 9, 10, 11)
    assert topology.notes[0].endswith("cpumap says which CPUs the node has")


def test_the_current_topology_is_that_of_the_machine() -> None:
    current, read = nump.current_topology(), nump.NumaTopology.detect()
    assert current.nodes == read.nodes
    assert current.allowed_node_ids == read.allowed_node_ids
    assert current.distance_matrix == read.distance_matrix
    assert nump.NumaAllocator().topology.nodes == current.nodes


def test_a_pickled_topology_is_whole(tmp_path: Path) -> None:
    """Also where the folder is gone, and has a name that is no text."""
    root = write(tmp_path / os.fsdecode(b"\xff"), {f"{NODE2}/distance": "x"})
    there = nump.NumaTopology.from_sysfs(root)
    pickled = pickle.dumps(there)
    shutil.rmtree(root)
    here = pickle.loads(pickled)
    assert here == there
    assert here.notes == there.notes
    assert here.nearest(2) == (2, 3, 0, 1)
    assert here.node(1).local_devices == here.devices == ()
    assert copy.deepcopy(here).to_dict() == there.to_dict()


def test_notes_are_no_part_of_equality(tmp_path: Path) -> None:
    whole = nump.NumaTopology.from_sysfs(write(tmp_path / "whole", {}))
    torn = nump.NumaTopology.from_sysfs(write(tmp_path / "torn", {f"{NODE2}/distance": "x"}))
    assert torn.notes
    assert torn == whole
    assert hash(torn) == hash(whole)

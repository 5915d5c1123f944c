"""Packages and last-level caches: which CPUs they have, on which nodes, and what is not told."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from support import sysfs_tree
from support.sysfs_tree import NODES

import numapool as nump
from numapool.cli.capture import write
from numapool.cli.options import machine_of

CPU = "sys/devices/system/cpu"


def cpu(number: int, package: str, sharing: str, level: int = 3) -> dict[str, str]:
    """Return the files of a CPU with caches of three levels."""
    cache = f"{CPU}/cpu{number}/cache"
    return {
        f"{CPU}/cpu{number}/topology/physical_package_id": f"{package}\n",
        f"{cache}/index0/level": "1\n",
        f"{cache}/index0/type": "Data\n",
        f"{cache}/index0/shared_cpu_list": f"{number}\n",
        f"{cache}/index1/level": f"{level}\n",
        f"{cache}/index1/type": "Unified\n",
        f"{cache}/index1/size": "32768K\n",
        f"{cache}/index1/shared_cpu_list": f"{sharing}\n",
        f"{cache}/index2/level": "9\n",
        f"{cache}/index2/type": "Instruction\n",
        f"{cache}/uevent": "\n",
    }


def machine(tmp_path: Path, cpus: Iterable[dict[str, str]]) -> nump.NumaTopology:
    """Return a machine of two packages with two nodes (sub-NUMA clusters) of two CPUs each."""
    files = {f"{NODES}/online": "0-3\n"}
    for node in range(4):
        files[f"{NODES}/node{node}/cpulist"] = f"{2 * node}-{2 * node + 1}\n"
        files[f"{NODES}/node{node}/meminfo"] = f"Node {node} MemTotal: 9 kB\n"
    for some in cpus:
        files |= some
    return nump.NumaTopology.from_sysfs(sysfs_tree.write(tmp_path, files))


def usual(tmp_path: Path) -> nump.NumaTopology:
    ends = ["0-1", "2-3", "4-7,99"]  # 99 is offline
    return machine(
        tmp_path, (cpu(i, "36" if i < 4 else "48", ends[min(i // 2, 2)]) for i in range(8))
    )


def test_packages_and_caches(tmp_path: Path) -> None:
    topology = usual(tmp_path)
    assert topology.packages == (
        nump.CpuPackage(package_id=36, cpu_cores=(0, 1, 2, 3), node_ids=(0, 1)),
        nump.CpuPackage(package_id=48, cpu_cores=(4, 5, 6, 7), node_ids=(2, 3)),
    )
    size = 32 << 20
    assert topology.last_level_caches == (
        nump.LastLevelCache(level=3, size_bytes=size, cpu_cores=(0, 1), node_ids=(0,)),
        nump.LastLevelCache(level=3, size_bytes=size, cpu_cores=(2, 3), node_ids=(1,)),
        nump.LastLevelCache(level=3, size_bytes=size, cpu_cores=(4, 5, 6, 7), node_ids=(2, 3)),
    )
    document = topology.to_dict()
    assert document["packages"][1] == {
        "package_id": 48,
        "cpu_cores": [4, 5, 6, 7],
        "node_ids": [2, 3],
    }
    assert [one["level"] for one in document["last_level_caches"]] == [3, 3, 3]


def test_a_copy_elsewhere_has_what_was_here(tmp_path: Path) -> None:
    topology = usual(tmp_path / "there")
    write(tmp_path / "m.tar.gz", topology._root)
    recorded = machine_of(tmp_path / "m.tar.gz")
    copy = pickle.dumps(topology)
    shutil.rmtree(tmp_path / "there")
    for again in (pickle.loads(copy), recorded):
        assert again.packages == topology.packages
        assert again.last_level_caches == topology.last_level_caches


@pytest.mark.parametrize(
    ("file", "text", "packages", "caches"),
    [
        ("topology/physical_package_id", "-1", 7, 3),
        ("topology/physical_package_id", "", 7, 3),
        ("topology/physical_package_id", "x", 7, 3),
        ("cache/index1/shared_cpu_list", "0-", 8, 4),  # its own, as far as is known
        ("cache/index1/shared_cpu_list", "", 8, 4),
        ("cache/index1/level", "?", 8, 4),  # the first level's
        ("cache/index1/size", "many", 8, 3),
        ("cache/index1/size", "0K", 8, 3),
    ],
)
def test_an_odd_file_costs_what_it_says(
    file: str, text: str, packages: int, caches: int, tmp_path: Path
) -> None:
    usual(tmp_path)
    (tmp_path / CPU / "cpu0" / file).write_text(f"{text}\n")
    topology = nump.NumaTopology.from_sysfs(tmp_path)
    assert sum(len(one.cpu_cores) for one in topology.packages) == packages
    assert len(topology.last_level_caches) == caches
    if "size" in file:
        assert topology.last_level_caches[0].size_bytes is None
    assert topology.notes == ()


def test_a_machine_that_does_not_tell_has_none(tmp_path: Path) -> None:
    topology = machine(tmp_path, ())
    assert not topology.packages
    assert not topology.last_level_caches


def test_this_machine() -> None:
    topology = nump.current_topology()
    cpus = {one for node in topology.nodes for one in node.cpu_cores}
    for groups in (topology.packages, topology.last_level_caches):
        held = [one for group in groups for one in group.cpu_cores]
        assert len(held) == len(set(held))
        assert cpus.issuperset(held)

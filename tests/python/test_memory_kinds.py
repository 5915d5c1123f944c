"""What kind of memory a node has, how that is known, and which nodes are used unasked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from support import sysfs_tree
from typer.testing import CliRunner

import numapool as nump
from numapool import _core
from numapool.cli.app import app

NODES = sysfs_tree.NODES
STATUS = "proc/driver/nvidia/gpus/0009:01:00.0/numa_status"


def read(name: str, tmp_path: Path) -> nump.NumaTopology:
    return nump.NumaTopology.from_sysfs(sysfs_tree.write(tmp_path, sysfs_tree.machine(name)))


@pytest.mark.parametrize(
    ("name", "node", "kind", "evidence"),
    [
        ("gpu_memory", 0, "dram", "the node has CPUs"),
        ("gpu_memory", 1, "device", f"/{STATUS} names the node"),
        ("gpu_memory", 2, "unknown", "the node has no memory"),
        ("added_memory", 1, "device", '/proc/iomem has "System RAM (amdgpu)"'),
        ("added_memory", 2, "cxl", "/sys/bus/dax/devices/dax0.0 makes it up from a CXL region"),
        ("added_memory", 3, "pmem", "dax1.0 makes it up from persistent memory"),
        ("added_memory", 4, "unknown", "nothing says what the memory is"),
        ("virtio_mem", 1, "unknown", "it was added to the machine"),
        ("hbm_bandwidth", 1, "hbm", "more bandwidth than nodes with CPUs"),
        ("cxl", 2, "unknown", "nothing says what the memory is"),  # slower: no HBM
        ("no_node_folder", 0, "dram", "the kernel tells of no nodes"),
    ],
)
def test_kinds_and_how_they_are_known(
    name: str, node: int, kind: str, evidence: str, tmp_path: Path
) -> None:
    found = read(name, tmp_path).node(node)
    assert found.kind == kind
    assert evidence in found.kind_evidence


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("gpu_memory", (0,)),
        ("added_memory", (0, 2, 3, 4)),
        ("virtio_mem", (0, 1)),
        ("hbm_bandwidth", (0, 1)),
        ("cpuset", (2,)),
        ("nothing_allowed", ()),
        ("no_memory", (0, 2)),
    ],
)
def test_default_nodes(name: str, default: tuple[int, ...], tmp_path: Path) -> None:
    assert read(name, tmp_path).default_node_ids == default


def test_memory_comes_from_expanders_last_and_from_devices_never(tmp_path: Path) -> None:
    core = read("added_memory", tmp_path)._core
    assert core.memory_order(0) == (0, 4, 2, 3)  # node 4 need not be movable: no expander
    assert core.memory_order(1) == (1, 0, 4, 2, 3)  # it was named
    assert core.nearest(0) == (0, 2, 3, 4, 1)


@pytest.mark.parametrize(
    "text", ["Node: 0\n", "Node: -1\n", "Node:\n", "", "Node: 1-2\n", "\x00\n"]
)
def test_a_node_with_cpus_is_no_device_whatever_a_driver_says(text: str, tmp_path: Path) -> None:
    files = sysfs_tree.machine("gpu_memory") | {STATUS: text}
    topology = nump.NumaTopology.from_sysfs(sysfs_tree.write(tmp_path, files))
    assert topology.node(0).kind == "dram"
    assert topology.node(1).kind == "device"  # /proc/iomem says so, too
    assert topology.default_node_ids == (0,)


@pytest.mark.parametrize(
    "missing", ["proc/iomem", f"{NODES}/has_memory", f"{NODES}/has_normal_memory"]
)
def test_what_is_not_told_is_unknown(missing: str, tmp_path: Path) -> None:
    files = sysfs_tree.machine("added_memory")
    del files[missing]
    topology = nump.NumaTopology.from_sysfs(sysfs_tree.write(tmp_path, files))
    assert topology.node(1).kind == "unknown"
    assert topology.node(2).kind == "cxl"
    assert topology.default_node_ids == (0, 1, 2, 3, 4)
    assert topology.notes == ()


def test_an_unreadable_list_of_memory_is_told(tmp_path: Path) -> None:
    files = sysfs_tree.machine("added_memory")
    del files["proc/iomem"]
    topology = nump.NumaTopology.from_sysfs(
        sysfs_tree.write(tmp_path, files | {"proc/iomem/": ""})  # a folder: EISDIR
    )
    assert len(topology.notes) == 1
    assert "proc/iomem" in topology.notes[0]


@pytest.mark.parametrize(
    ("given", "default"),
    [
        ("1", (1,)),
        ("!0", (1,)),
        ("all", (0, 1)),
        ("0-7", (0, 1)),
        (1, (1,)),
        ([0, 1], (0, 1)),
        ((1, 5), (1,)),
        (nump.NodeSet([1]), (1,)),
    ],
)
def test_an_operator_may_say_otherwise(
    given: str | int | Iterable[int], default: tuple[int, ...], tmp_path: Path
) -> None:
    root = sysfs_tree.write(tmp_path, sysfs_tree.machine("gpu_memory"))
    topology = nump.NumaTopology.from_sysfs(root, default_nodes=given)
    assert topology.default_node_ids == default
    assert topology.to_dict()["default_node_ids"] == list(default)
    assert (topology == nump.NumaTopology.from_sysfs(root)) is (default == (0,))


@pytest.mark.parametrize("given", ["", "x", "2", "!0-1", "1,", []])
def test_words_that_leave_no_node_are_refused(given: str | list[int], tmp_path: Path) -> None:
    root = sysfs_tree.write(tmp_path, sysfs_tree.machine("gpu_memory"))
    with pytest.raises(ValueError, match="default_nodes"):
        nump.NumaTopology.from_sysfs(root, default_nodes=given)
    with pytest.raises(TypeError, match="default_nodes"):
        nump.NumaTopology.from_sysfs(root, default_nodes=1.5)  # type: ignore[arg-type]


def _python(code: str, words: str) -> str:
    environment = {**os.environ, "NUMAPOOL_DEFAULT_NODES": words}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


CODE = """
import json, warnings
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import numapool as nump
    at_import = len(seen)
    nump.NumaAllocator().allocate(4096).close()
    nump.NumaTopology.detect()
    topology = nump.NumaTopology.detect()
print(json.dumps([at_import, [str(one.message) for one in seen], topology.notes,
                  topology.default_node_ids]))
"""


def test_the_environment_says_which_nodes_and_nonsense_is_one_warning() -> None:
    usable = list(_core.topology_now().usable())
    at_import, warned, notes, default = json.loads(_python(CODE, "no such thing"))
    assert at_import == 0
    assert len(warned) == 1
    assert "NUMAPOOL_DEFAULT_NODES is ignored: 'no such thing' is no list of nodes" in warned[0]
    assert warned[0] in notes
    assert default == usable
    _, warned, _, default = json.loads(_python(CODE, str(usable[-1])))
    assert warned == []
    assert default == [usable[-1]]


def screen(command: str, root: Path, *more: str) -> str:
    done = CliRunner().invoke(
        app, [command, "--sysfs", str(root), *more], env={"COLUMNS": "80"}, catch_exceptions=False
    )
    assert done.exit_code == 0
    return " ".join(done.stdout.split())


def test_screens_show_the_kind_and_what_is_left_out(tmp_path: Path) -> None:
    root = sysfs_tree.write(tmp_path, sysfs_tree.machine("added_memory"))
    info = screen("info", root)
    assert '1 device no CPUs, all memory movable, no dax device, and /proc/iomem has "Sy' in info
    assert "2 cxl /sys/bus/dax/devices/dax0.0 makes it up from a CXL region" in info
    assert "Memory of node 1 is used only if you name it." in info
    assert info.count("if named") == 1
    topo = screen("topo", root)
    assert "node 1, only if named" in topo
    assert "CXL" in topo
    nodes = json.loads(screen("info", root, "--json"))["nodes"]
    assert [one["kind"] for one in nodes] == ["dram", "device", "cxl", "pmem", "unknown"]
    plain = screen("info", sysfs_tree.write(tmp_path / "b", sysfs_tree.machine("two_socket")))
    assert "Kinds of memory" not in plain

"""NumaTopology.detect() says what the firmware said: nodes, CPUs, distances, figures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import numapool as nump

from .harness.machine import Machine
from .support.nodes import free_bytes, meminfo

pytestmark = pytest.mark.machine("two_equal", "four_asymmetric", "lopsided", "sparse", "hmat_612")

_CPUS = Path("/sys/devices/system/cpu")
_TIERS = Path("/sys/devices/virtual/memory_tiering")
_MIB = 1 << 20


@pytest.fixture(scope="module")
def topology() -> nump.NumaTopology:
    return nump.NumaTopology.detect()


def test_nodes_are_the_online_ones(machine: Machine, topology: nump.NumaTopology) -> None:
    expected = [node.node_id for node in machine.online_nodes]
    assert [node.node_id for node in topology.nodes] == expected
    assert topology.node_count == len(expected)
    with_memory = [node for node in machine.online_nodes if node.memory_mib]
    assert topology.multi_node == (len(with_memory) > 1)
    assert list(topology.allowed_node_ids) == [node.node_id for node in with_memory]


def test_cpus(machine: Machine, topology: nump.NumaTopology) -> None:
    for node in machine.online_nodes:
        assert topology.node(node.node_id).cpu_cores == machine.present_cpus(node)
        for cpu in machine.present_cpus(node):
            assert topology.node_of_cpu(cpu) == node.node_id


def test_distances_in_both_directions(machine: Machine, topology: nump.NumaTopology) -> None:
    ids = [node.node_id for node in machine.online_nodes]
    expected = tuple(tuple(machine.distance(a, b) for b in ids) for a in ids)
    assert topology.distance_matrix == expected
    for a in ids:
        for b in ids:
            assert topology.distance(a, b) == machine.distance(a, b)


def test_nearest_goes_by_distance_then_id(machine: Machine, topology: nump.NumaTopology) -> None:
    usable = [node.node_id for node in machine.online_nodes if node.memory_mib]
    for node in machine.online_nodes:
        start = node.node_id
        others = sorted((machine.distance(start, one), one) for one in usable if one != start)
        expected = [start] * (start in usable) + [one for _, one in others]
        assert list(topology.nearest(start)) == expected


def test_memory_is_what_the_kernel_counts(machine: Machine, topology: nump.NumaTopology) -> None:
    for node in machine.online_nodes:
        told = topology.node(node.node_id)
        assert told.total_memory_bytes == meminfo(node.node_id)["MemTotal"]
        assert told.total_memory_bytes <= node.memory_mib * _MIB
        assert abs(told.free_memory_bytes() - free_bytes(node.node_id)) < 16 * _MIB


def test_unknown_nodes_are_refused(machine: Machine, topology: nump.NumaTopology) -> None:
    online = {node.node_id for node in machine.online_nodes}
    for absent in sorted(set(range(len(machine.nodes) + 1)) - online):
        with pytest.raises(nump.NodeNotFoundError, match=str(min(online))):
            topology.node(absent)


def _cpus(text: str) -> tuple[int, ...]:
    ends = [[int(end) for end in part.split("-")] for part in text.strip().split(",")]
    return tuple(cpu for one in ends for cpu in range(one[0], one[-1] + 1))


def test_packages_and_last_caches(machine: Machine, topology: nump.NumaTopology) -> None:
    """As sysfs tells of each CPU, and as QEMU was told."""
    present = [cpu for node in machine.online_nodes for cpu in machine.present_cpus(node)]
    sockets: dict[int, set[int]] = {}
    last: dict[tuple[int, ...], int] = {}
    for cpu in present:
        folder = _CPUS / f"cpu{cpu}"
        package = int((folder / "topology/physical_package_id").read_text())
        assert package == machine.place_of(cpu)[0]
        sockets.setdefault(package, set()).add(cpu)
        caches = [one for one in folder.glob("cache/index*") if "Inst" not in _text(one / "type")]
        if caches:
            cache = max(caches, key=lambda one: int(_text(one / "level")))
            last[_cpus(_text(cache / "shared_cpu_list"))] = int(_text(cache / "level"))
    nodes = {cpu: node.node_id for node in machine.online_nodes for cpu in node.cpus}
    assert {one.package_id: set(one.cpu_cores) for one in topology.packages} == sockets
    for one in topology.packages:
        assert set(one.node_ids) == {nodes[cpu] for cpu in one.cpu_cores}
        assert nump.nodes(f"socket:{one.package_id}").ids == one.node_ids
    assert {one.cpu_cores: one.level for one in topology.last_level_caches} == last
    if machine.name == "four_asymmetric":
        assert [set(one.node_ids) for one in topology.packages] == [{0, 1}, {2, 3}]


def _text(path: Path) -> str:
    return path.read_text().strip()


@pytest.mark.machine("hmat_612")
def test_a_program_runs_on_one_cpu_of_each_core(machine: Machine) -> None:
    tell = "import os; print(sorted(os.sched_getaffinity(0)))"
    python = [sys.executable, "-c", tell]
    run = [sys.executable, "-m", "numapool", "run", "--node", "socket:0"]
    cpus = [
        cpu
        for node in machine.online_nodes
        for cpu in machine.present_cpus(node)
        if machine.place_of(cpu)[0] == 0
    ]
    cores = [cpu for cpu in cpus if machine.place_of(cpu)[2] == 0]
    for options, expected in (([], cpus), (["--no-smt"], cores)):
        done = subprocess.run([*run, *options, "--", *python], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"{expected}\n"), done.stderr


def test_figures_of_the_firmware(machine: Machine, topology: nump.NumaTopology) -> None:
    for node in machine.online_nodes:
        told = topology.node(node.node_id)
        latencies = (told.read_latency_ns, told.write_latency_ns)
        bandwidths = (told.read_bandwidth_bytes_s, told.write_bandwidth_bytes_s)
        figures = machine.figures(node.node_id)
        if figures is None:
            assert latencies == bandwidths == (None, None)
        else:
            assert latencies == (figures.latency_ns,) * 2
            assert bandwidths == (figures.bandwidth_mib_s * _MIB,) * 2


def test_memory_tiers(machine: Machine, topology: nump.NumaTopology) -> None:
    tiers = {
        int(folder.name.removeprefix("memory_tier")): (folder / "nodelist").read_text().strip()
        for folder in _TIERS.glob("memory_tier[0-9]*")
    }
    assert tiers, "this kernel has no memory tiers at all"
    for node in machine.online_nodes:
        holders = [tier for tier, nodes in tiers.items() if node.node_id in _ids(nodes)]
        assert topology.node(node.node_id).memory_tier == (holders[0] if holders else None)
    if machine.name == "hmat_612":  # since 6.11 a CPU-less node's tier follows its HMAT figures
        assert topology.node(2).memory_tier != topology.node(0).memory_tier


def _ids(text: str) -> set[int]:
    """Node ids of a list such as ``0,2-3``."""
    ids: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        ids.update(range(int(first), int(last or first) + 1))
    return ids

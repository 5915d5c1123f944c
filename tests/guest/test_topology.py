"""NumaTopology.detect() says what the firmware said: nodes, CPUs, distances, figures."""

from __future__ import annotations

from pathlib import Path

import pytest

import numapool as nump

from .harness.machine import Machine
from .support.nodes import free_bytes, meminfo

pytestmark = pytest.mark.machine("two_equal", "four_asymmetric", "lopsided", "sparse", "hmat_612")

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

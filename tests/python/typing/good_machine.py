"""Asking about the machine, and setting a thread's policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, assert_type

import numapool as nump

topo = nump.NumaTopology.detect()
assert_type(topo, nump.NumaTopology)
assert_type(nump.current_topology(), nump.NumaTopology)
assert_type(topo.nodes, tuple[nump.NumaNode, ...])
assert_type(topo.node_count, int)
assert_type(topo.distance_matrix, tuple[tuple[int, ...], ...])
assert_type(topo.multi_node, bool)
assert_type(topo.allowed_node_ids, tuple[int, ...])
assert_type(topo.default_node_ids, tuple[int, ...])
assert_type(topo.packages, tuple[nump.CpuPackage, ...])
assert_type(topo.last_level_caches, tuple[nump.LastLevelCache, ...])
assert_type(nump.NumaTopology.detect(default_nodes=[0]), nump.NumaTopology)
assert_type(nump.NumaTopology.detect(default_nodes="all"), nump.NumaTopology)
assert_type(topo.node_of_cpu(0), int | None)
assert_type(nump.NumaTopology.from_sysfs(Path("/")), nump.NumaTopology)
assert_type(topo.to_dict(), dict[str, Any])
json.dumps(topo.to_dict())

for node in topo.nodes:
    assert_type(node.node_id, int)
    assert_type(node.cpu_cores, tuple[int, ...])
    assert_type(node.free_memory_bytes(), int)
    assert_type(node.memory_tier, int | None)
    assert_type(node.kind_evidence, str)
    assert node.kind != "pmem" or topo.multi_node
    assert_type(node.read_latency_ns, int | None)
    assert_type(topo.nearest(node.node_id), tuple[int, ...])
    assert_type(topo.distance(node.node_id, node.node_id), int)

    for device in node.local_devices:
        assert_type(device, nump.Device)
        assert_type(device.node_id, int | None)
        assert_type(device.pci_address, str | None)

assert_type(topo.devices, tuple[nump.Device, ...])
assert_type(nump.device_node("/"), int | None)
assert_type(nump.device_node(Path("/"), topo), int | None)
locality = nump.device_locality("lo", topo)
assert_type(locality, nump.DeviceLocality)
assert_type(locality.legs, tuple[nump.Device, ...])
assert_type(locality.steps, tuple[nump.DeviceStep, ...])
assert_type(locality.reason, str | None)
json.dumps(locality.to_dict())

by_node = {topo.node(node.node_id): node.total_memory_bytes for node in topo.nodes}
assert_type(by_node, dict[nump.NumaNode, int | None])

for policy in (nump.memory_policy(mode="local"), nump.memory_policy(topo.nodes[0].node_id)):
    with policy as entered:
        assert_type(entered, nump.memory_policy)
interleaved = nump.memory_policy(topo.nearest(topo.nodes[0].node_id), mode="interleave")

assert_type(nump.__version__, str)

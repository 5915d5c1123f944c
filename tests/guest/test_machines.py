"""The kernel of each guest sees the machine that was described: sysfs, without numapool."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import machines
from .harness.machine import Machine

# All whose kernel does not change what the firmware describes.
pytestmark = pytest.mark.machine(
    *(
        name
        for name in machines.BY_NAME
        if name not in (machines.SHARED_CPUS.name, machines.TWO_COUNTED_612.name)
    )
)

_NODES = Path("/sys/devices/system/node")


def test_kernel_is_the_one_asked_for(machine: Machine) -> None:
    release = Path("/proc/sys/kernel/osrelease").read_text()
    assert release.startswith(f"{machine.kernel}.")


def test_nodes(machine: Machine) -> None:
    online = sorted(int(path.name.removeprefix("node")) for path in _NODES.glob("node[0-9]*"))
    assert online == [node.node_id for node in machine.online_nodes]


def test_distances(machine: Machine) -> None:
    online = [node.node_id for node in machine.online_nodes]
    for source in online:
        row = [int(text) for text in (_NODES / f"node{source}" / "distance").read_text().split()]
        assert row == [machine.distance(source, target) for target in online]


def test_memory(machine: Machine) -> None:
    for node in machine.online_nodes:
        line = (_NODES / f"node{node.node_id}" / "meminfo").read_text().splitlines()[0]
        total_mib = int(line.split()[-2]) // 1024
        # The kernel keeps some for itself before it counts: page structs, firmware tables, its own
        # image on node 0.
        assert node.memory_mib * 0.75 - 32 < total_mib <= node.memory_mib

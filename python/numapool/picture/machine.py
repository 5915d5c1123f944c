"""What a picture says of a machine, in the words of the screen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from numapool.base.units import cpus_text, ids_text, printable, rate_text, size_text, total_text
from numapool.machine.devices import Device
from numapool.machine.topology import NumaNode, NumaTopology

#: Kinds of devices by the heading they are shown under.
GROUPS = {
    "block": "storage",
    "nvme": "storage",
    "pmem": "storage",
    "net": "network",
    "infiniband": "network",
    "gpu": "GPU",
    "dax": "memory devices",
}
#: Kinds of memory that are out of the ordinary.
KINDS = {
    "device": "memory of a device",
    "cxl": "CXL",
    "pmem": "persistent",
    "hbm": "high bandwidth",
}
ORDER = ("storage", "network", "GPU", "memory devices", "other")


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeFacts:
    """A node as it is shown."""

    node: NumaNode
    free_bytes: int | None
    allowed: bool
    by_default: bool
    devices: dict[str, tuple[str, ...]]

    @property
    def has_memory(self) -> bool:
        """Tell whether it has memory, as far as that is known."""
        return self.node.total_memory_bytes != 0

    @property
    def held_share(self) -> float | None:
        """Return the part of its memory that is in use; None where that is unknown."""
        total = self.node.total_memory_bytes
        return None if not total or self.free_bytes is None else 1 - self.free_bytes / total

    @property
    def title(self) -> str:
        """Return its name."""
        return f"node {self.node.node_id}"

    @property
    def remark(self) -> str:
        """Return what is out of the ordinary; empty for most nodes."""
        if not self.allowed and self.has_memory:
            return "not allowed"
        return "" if self.by_default or not self.has_memory else "only if named"

    @property
    def memory(self) -> str:
        """Return its memory in words."""
        total = self.node.total_memory_bytes
        if total is None:
            return "memory of unknown size"
        if not total:
            return "no memory"
        if self.free_bytes is None:
            return f"{size_text(total)} of memory"
        return f"{size_text(total)} of memory, {size_text(self.free_bytes)} free"

    @property
    def cpus(self) -> str:
        """Return how many CPUs it has."""
        count = len(self.node.cpu_cores)
        return "no CPUs" if not count else "1 CPU" if count == 1 else f"{count} CPUs"

    @property
    def cpu_ranges(self) -> tuple[str, ...]:
        """Return the ranges of CPUs, as taskset(1) takes them."""
        return tuple(cpus_text(self.node.cpu_cores).split(", ")) if self.node.cpu_cores else ()

    @property
    def speed(self) -> str:
        """Return kind, tier, latency and bandwidth as far as they are known."""
        node = self.node
        parts = [KINDS[node.kind]] if node.kind in KINDS else []
        if node.memory_tier is not None:
            parts.append(f"tier {node.memory_tier}")
        if node.read_latency_ns is not None:
            parts.append(f"{node.read_latency_ns} ns")
        if node.read_bandwidth_bytes_s is not None:
            parts.append(rate_text(node.read_bandwidth_bytes_s))
        return ", ".join(parts)


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts nvme2n1 before nvme10n1."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def grouped(devices: Iterable[Device]) -> dict[str, tuple[str, ...]]:
    """Return the names of devices under their headings, in the order of these."""
    found: dict[str, list[str]] = {}
    for device in devices:
        found.setdefault(GROUPS.get(device.kind, "other"), []).append(printable(device.name))
    return {group: tuple(sorted(found[group], key=_natural)) for group in ORDER if group in found}


def _free_bytes(node: NumaNode) -> int | None:
    try:
        free = node.free_memory_bytes()
        return free if node.total_memory_bytes is None else min(free, node.total_memory_bytes)
    except (OSError, ValueError):  # it went offline, or a captured machine does not tell
        return None


def facts_of(topology: NumaTopology) -> tuple[NodeFacts, ...]:
    """Return all nodes as they are shown."""
    allowed, default = set(topology.allowed_node_ids), set(topology.default_node_ids)
    return tuple(
        NodeFacts(
            node=node,
            free_bytes=None if node.total_memory_bytes == 0 else _free_bytes(node),
            allowed=node.node_id in allowed,
            by_default=node.node_id in default,
            devices=grouped(node.local_devices),
        )
        for node in topology.nodes
    )


def homeless(topology: NumaTopology) -> dict[str, tuple[str, ...]]:
    """Return the devices whose node the system does not tell, under their headings."""
    return grouped(device for device in topology.devices if device.node_id is None)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def headline(topology: NumaTopology) -> str:
    """Return the machine in a line."""
    cpus = {cpu for node in topology.nodes for cpu in node.cpu_cores}
    total = total_text(node.total_memory_bytes for node in topology.nodes)
    return (
        f"{_count(topology.node_count, 'NUMA node')}, {_count(len(cpus), 'CPU')}, {total} of memory"
    )


def usable_line(topology: NumaTopology) -> str:
    """Return which nodes this process may use."""
    allowed = topology.allowed_node_ids
    if not allowed:
        return "This process may use memory of no node."
    where = "node" if len(allowed) == 1 else "nodes"
    return f"This process may use memory of {where} {ids_text(allowed, ', ')}."

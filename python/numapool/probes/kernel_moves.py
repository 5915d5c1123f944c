"""What the kernel moves between nodes by itself: demotion to slower tiers, automatic balancing."""

from __future__ import annotations

from collections.abc import Iterator

from numapool.base.units import ids_text
from numapool.probes.capability import Capability
from numapool.probes.machine import Machine

_BALANCING = "/proc/sys/kernel/numa_balancing"
_DEMOTION = "/sys/kernel/mm/numa/demotion_enabled"


def memory_tiers(machine: Machine) -> Iterator[Capability]:
    """Read the tiers of memory, and whether pages are demoted."""
    tiers: dict[int, list[int]] = {}
    for node in machine.topology.nodes:
        if node.memory_tier is not None:
            tiers.setdefault(node.memory_tier, []).append(node.node_id)
    if not tiers:
        yield Capability(
            name="memory tiers",
            available=False,
            detail="not told: no /sys/devices/virtual/memory_tiering",
            remedy="Linux 6.1 or later, where memory differs in speed",
        )
        return
    parts = [f"tier {tier}: node {ids_text(tiers[tier])}" for tier in sorted(tiers)]
    demotion = (machine.read(_DEMOTION) or "").lower()
    if demotion in ("true", "1"):
        parts.append("cold pages are demoted to slower nodes, bound ones too")
    elif demotion:
        parts.append("nothing is demoted")
    yield Capability(name="memory tiers", available=len(tiers) > 1, detail="; ".join(parts))


def automatic_balancing(machine: Machine) -> Iterator[Capability]:
    """Tell whether the kernel moves pages after the threads that use them (AutoNUMA)."""
    mode = machine.number(_BALANCING)
    if mode is None:
        detail = "not in this kernel"
    elif mode == 0:
        detail = f"off ({_BALANCING} is 0)"
    else:
        kinds = [text for bit, text in ((1, "to its users"), (2, "to faster tiers")) if mode & bit]
        detail = (
            f"on: memory moves {' and '.join(kinds) or 'by itself'}; buffers that numapool has "
            "bound stay"
        )
    yield Capability(name="automatic balancing", available=bool(mode), detail=detail)

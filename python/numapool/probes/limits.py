"""What bounds the memory of this process, as the core sees it before it allocates."""

from __future__ import annotations

from collections.abc import Iterator

from numapool import _core
from numapool.base.units import size_text
from numapool.probes.capability import Capability
from numapool.probes.machine import Machine


def memory_limits(machine: Machine) -> Iterator[Capability]:
    """Ask the core for every bound: a bound that it cannot read is not one that it heeds."""
    if machine.root != "/":
        return
    bounds = _core.memory_bounds()
    known = sorted((one.size_bytes, one.limit) for one in bounds if one.size_bytes is not None)
    unknown = [f"{one.limit} ({one.unknown})" for one in bounds if one.size_bytes is None]
    parts = [f"{limit}: {size_text(size)} left" for size, limit in known]
    if unknown:
        parts.append(f"not known: {'; '.join(unknown)}")
    yield Capability(
        name="memory limits",
        available=None if unknown or not known else True,
        detail="; ".join(parts) or "this system tells no limit",
        remedy="show /proc, /sys/devices/system/node and /sys/fs/cgroup in the container, "
        "read-only; until then a limit that is not known can end this process"
        if unknown
        else "",
    )

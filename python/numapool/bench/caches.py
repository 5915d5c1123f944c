"""What the processors' caches hold, so that memory is measured and not they."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from numapool.machine.cpu_groups import cache_bytes
from numapool.probes.machine import Machine

_CPUS = "/sys/devices/system/cpu"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cache:
    """One cache of data, and the CPUs that share it."""

    level: int
    size_bytes: int
    cpus: tuple[int, ...]


def caches(machine: Machine, cpus: Iterable[int]) -> tuple[Cache, ...]:
    """Return the caches that some CPUs use, by level; none where the system does not tell."""
    found: dict[tuple[int, tuple[int, ...]], Cache] = {}
    for cpu in cpus:
        folder = f"{_CPUS}/cpu{cpu}/cache"
        for name in machine.names(folder):
            if not name.startswith("index"):
                continue
            level = machine.number(f"{folder}/{name}/level")
            size = cache_bytes(machine.read(f"{folder}/{name}/size") or "")
            if level is None or not size or machine.read(f"{folder}/{name}/type") == "Instruction":
                continue
            sharing = ids(machine.read(f"{folder}/{name}/shared_cpu_list") or str(cpu))
            found[level, sharing] = Cache(level=level, size_bytes=size, cpus=sharing)
    return tuple(found[key] for key in sorted(found))


def siblings(machine: Machine, cpu: int) -> tuple[int, ...]:
    """Return the CPUs that share a core with one, itself among them."""
    text = machine.read(f"{_CPUS}/cpu{cpu}/topology/thread_siblings_list")
    return ids(text) if text else (cpu,)


def ids(text: str) -> tuple[int, ...]:
    """Read the kernel's list of ids; skip what is not an id."""
    out: set[int] = set()
    for part in text.split(","):
        ends = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if ends:
            out.update(range(int(ends[1]), int(ends[2] or ends[1]) + 1))
    return tuple(sorted(out))


def largest_bytes(found: Iterable[Cache]) -> int:
    """Return the size of the largest cache; 0 where none is known."""
    return max((one.size_bytes for one in found), default=0)


def sum_bytes(found: Iterable[Cache]) -> int:
    """Return what all caches hold together, the first level's apart, which others repeat."""
    return sum(one.size_bytes for one in found if one.level > 1)

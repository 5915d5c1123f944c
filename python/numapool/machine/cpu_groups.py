"""Which CPUs belong together: packages (sockets) and last-level caches, with their nodes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from numapool.base.units import ids_of

_CPUS = "sys/devices/system/cpu"
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True, kw_only=True, slots=True)
class CpuPackage:
    """A package: the CPUs and nodes of one socket.

    Attributes
    ----------
    package_id : int
        The system's number of it; ids may have gaps.
    cpu_cores : tuple[int, ...]
        Its CPUs that are online, ascending.
    node_ids : tuple[int, ...]
        The nodes that these CPUs are on: several with sub-NUMA clusters (NPS4).
    """

    package_id: int
    cpu_cores: tuple[int, ...]
    node_ids: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary fit for JSON."""
        return {name: _plain(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class LastLevelCache:
    """The last cache before memory, and the CPUs that share it.

    Attributes
    ----------
    level : int
        3 on most machines.
    size_bytes : int or None
        What it holds; None where the system does not tell.
    cpu_cores : tuple[int, ...]
        The CPUs that share it and are online, ascending.
    node_ids : tuple[int, ...]
        The nodes that these CPUs are on.
    """

    level: int
    size_bytes: int | None
    cpu_cores: tuple[int, ...]
    node_ids: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary fit for JSON."""
        return {name: _plain(value) for name, value in asdict(self).items()}


class CpuGroups:
    """Packages and caches of a machine, read when they are first asked for, then kept.

    Parameters
    ----------
    root : str
        The folder that holds ``sys``.
    cpus_of_node : mapping of int to tuple of int
        The CPUs of each node.
    """

    __slots__ = ("_caches", "_cpus_of_node", "_packages", "_root")

    def __init__(
        self,
        root: str,
        cpus_of_node: Mapping[int, tuple[int, ...]],
        packages: tuple[CpuPackage, ...] | None = None,
        caches: tuple[LastLevelCache, ...] | None = None,
    ) -> None:
        self._root = root
        self._cpus_of_node = dict(cpus_of_node)
        self._packages = packages
        self._caches = caches

    def __reduce__(self) -> tuple[Any, ...]:  # a copy elsewhere has the same contents
        return CpuGroups, (self._root, self._cpus_of_node, self.packages(), self.caches())

    def packages(self) -> tuple[CpuPackage, ...]:
        """Return the packages by id; none where the system does not tell."""
        if self._packages is None:
            found: dict[int, list[int]] = {}
            for cpu in self._cpus():
                text = self._read(f"cpu{cpu}/topology/physical_package_id")
                if text.isascii() and text.isdigit():  # -1: unknown
                    found.setdefault(int(text), []).append(cpu)
            self._packages = tuple(
                CpuPackage(package_id=one, cpu_cores=tuple(cpus), node_ids=self._nodes_of(cpus))
                for one, cpus in sorted(found.items())
            )
        return self._packages

    def caches(self) -> tuple[LastLevelCache, ...]:
        """Return the last-level caches by their first CPU; none where the system does not tell."""
        if self._caches is None:
            found: list[LastLevelCache] = []
            seen: set[int] = set()
            online = set(self._cpus())
            for cpu in sorted(online):
                last = None if cpu in seen else self._last_cache(cpu, online)
                if last is not None:
                    seen.update(last.cpu_cores)
                    found.append(last)
            self._caches = tuple(found)
        return self._caches

    def _last_cache(self, cpu: int, online: set[int]) -> LastLevelCache | None:
        folder = f"cpu{cpu}/cache"
        try:
            names = os.listdir(os.path.join(self._root, _CPUS, folder))  # noqa: PTH118, PTH208
        except OSError:
            return None
        best: tuple[int, str] | None = None
        for name in names:
            level = self._read(f"{folder}/{name}/level") if name.startswith("index") else ""
            if not (level.isascii() and level.isdigit()):
                continue
            if self._read(f"{folder}/{name}/type") != "Instruction":
                best = max(best or (0, ""), (int(level), name))
        if best is None:
            return None
        place = f"{folder}/{best[1]}"
        try:
            sharing = online.intersection(ids_of(self._read(f"{place}/shared_cpu_list"))) | {cpu}
        except ValueError:
            sharing = {cpu}
        return LastLevelCache(
            level=best[0],
            size_bytes=cache_bytes(self._read(f"{place}/size")),
            cpu_cores=tuple(sorted(sharing)),
            node_ids=self._nodes_of(sharing),
        )

    def _cpus(self) -> list[int]:
        return sorted({cpu for cpus in self._cpus_of_node.values() for cpu in cpus})

    def _nodes_of(self, cpus: Iterable[int]) -> tuple[int, ...]:
        wanted = set(cpus)
        return tuple(n for n, own in self._cpus_of_node.items() if not wanted.isdisjoint(own))

    def _read(self, path: str) -> str:
        """Return the text of a file below the folder of CPUs; empty where it cannot be read."""
        where = os.path.join(self._root, _CPUS, path)  # noqa: PTH118 - pathlib takes long to load
        try:
            with open(where, encoding="ascii", errors="replace") as file:  # noqa: PTH123
                return file.read(1 << 16).strip(" \t\r\n\0")
        except OSError:
            return ""


def cache_bytes(text: str) -> int | None:
    """Return the size of a cache that sysfs writes as ``32K``; None if the text is not a size."""
    digits, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
        return None
    return int(digits) * _UNITS.get(unit, 1) or None


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value

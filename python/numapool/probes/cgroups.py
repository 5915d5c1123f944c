"""Where this process's cgroup is, in either version of the hierarchy (cgroups(7))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from numapool import _core
from numapool.probes.machine import Machine


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A cgroup's folder, and that of the hierarchy's top that can be seen."""

    version: int
    folder: str
    top: str

    def levels(self) -> Iterator[str]:
        """Give the folders from the cgroup up to the top."""
        folder = self.folder
        while folder != self.top:
            yield folder
            folder = folder.rpartition("/")[0]
        yield self.top


def find_cgroup(machine: Machine, controller: str) -> tuple[Cgroup | None, str]:
    """Ask the core for the cgroup of a controller ("": version 2), and why it is not known."""
    found = _core.cgroup_folder(os.fsencode(machine.root), controller)
    own = Cgroup(found.version, found.folder, found.top) if found.version else None
    return own, found.unknown


def unified_cgroup(machine: Machine) -> Cgroup | None:
    """Return this process's cgroup of version 2, whichever controllers it has."""
    own, unknown = find_cgroup(machine, "")
    return None if unknown else own


def cpu_cgroup(machine: Machine) -> Cgroup | None:
    """Return the cgroup of version 1 that limits this process's CPU time, if there is one."""
    own, unknown = find_cgroup(machine, "cpu")
    return None if unknown or own is None or own.version != 1 else own


def memory_cgroup(machine: Machine) -> Cgroup | None:
    """Return the cgroup that limits this process's memory; of hybrid systems, version 1's."""
    return find_cgroup(machine, "memory")[0]

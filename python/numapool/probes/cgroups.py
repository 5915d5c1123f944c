"""Where this process's cgroup is, in either version of the hierarchy (cgroups(7))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from numapool.probes.machine import Machine

_ESCAPE = re.compile(r"\\([0-7]{3})")  # proc_pid_mountinfo(5) writes a blank as \040


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


def _own_paths(machine: Machine) -> Iterator[tuple[str, str]]:
    """Give the path in each hierarchy; its controllers are "" for version 2."""
    for line in (machine.read("/proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        yield ("" if number == "0" else controllers), path


def _mounts(machine: Machine) -> Iterator[tuple[str, str, str, str]]:
    """Give type, root, mount point and options of each mount."""
    for line in (machine.read("/proc/self/mountinfo") or "").splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) >= 5 and len(kind) >= 3:
            root, point = (
                _ESCAPE.sub(lambda found: chr(int(found[1], 8)), one) for one in fields[3:5]
            )
            yield kind[0], root, point, kind[2]


def _find(machine: Machine, controller: str) -> Cgroup | None:
    """Return the cgroup of a controller of version 1, or of version 2 for none."""
    for controllers, path in _own_paths(machine):
        if controller not in controllers.split(","):
            continue
        for kind, root, point, options in _mounts(machine):
            if kind != ("cgroup" if controller else "cgroup2"):
                continue
            if controller and controller not in options.split(","):
                continue
            below = path if root == "/" else path.removeprefix(root)
            if root != "/" and (not path.startswith(root) or below[:1] not in ("", "/")):
                continue
            return Cgroup(2 if controller == "" else 1, point + below.rstrip("/"), point)
    return None


def unified_cgroup(machine: Machine) -> Cgroup | None:
    """Return this process's cgroup of version 2, whichever controllers it has."""
    return _find(machine, "")


def cpu_cgroup(machine: Machine) -> Cgroup | None:
    """Return the cgroup of version 1 that limits this process's CPU time, if there is one."""
    return _find(machine, "cpu")


def memory_cgroup(machine: Machine) -> Cgroup | None:
    """Return the cgroup that limits this process's memory; of hybrid systems, version 1's."""
    unified = unified_cgroup(machine)
    if unified is not None:
        controllers = machine.read(f"{unified.folder}/cgroup.controllers") or ""
        if "memory" in controllers.split():
            return unified
    return _find(machine, "memory")

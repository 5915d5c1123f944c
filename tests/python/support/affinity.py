"""Made-up nodes over this machine's real CPUs, and the kernel's own word on where threads run."""

from __future__ import annotations

import os
from pathlib import Path

import numapool as nump
from support import sysfs_tree
from support.sysfs_tree import NODES


def split_machine(folder: Path) -> nump.NumaTopology:
    """Give node 0 the first of our CPUs, node 1 the rest, node 2 none; it is nearest to node 1."""
    first, *rest = sorted(os.sched_getaffinity(0))
    assert rest, "this takes two CPUs"
    files: dict[str, str | bytes] = {f"{NODES}/online": "0-2\n"}
    for node, cpus in enumerate(([first], rest, [])):
        files[f"{NODES}/node{node}/cpulist"] = ",".join(map(str, cpus)) + "\n"
        files[f"{NODES}/node{node}/meminfo"] = f"Node {node} MemTotal: 1048576 kB\n"
    for node, row in enumerate(("10 20 40", "20 10 30", "40 30 10")):
        files[f"{NODES}/node{node}/distance"] = f"{row}\n"
    return nump.NumaTopology.from_sysfs(sysfs_tree.write(folder, files))


def shared_cpus(folder: Path) -> nump.NumaTopology:
    """Give nodes 0 and 1 the same CPUs, as the kernel's numa=fake does: our own."""
    cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    files: dict[str, str | bytes] = {f"{NODES}/online": "0-1\n"}
    for node, row in enumerate(("10 10", "10 10")):
        files[f"{NODES}/node{node}/cpulist"] = f"{cpus}\n"
        files[f"{NODES}/node{node}/meminfo"] = f"Node {node} MemTotal: 1048576 kB\n"
        files[f"{NODES}/node{node}/distance"] = f"{row}\n"
    return nump.NumaTopology.from_sysfs(sysfs_tree.write(folder, files))


def cpus_of_threads() -> dict[int, frozenset[int]]:
    """Return the CPUs of every thread of this process, by the kernel's status files."""
    found: dict[int, frozenset[int]] = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            lines = (task / "status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        text = next(line.split()[1] for line in lines if line.startswith("Cpus_allowed_list:"))
        cpus: set[int] = set()
        for part in text.split(","):
            low, _, high = part.partition("-")
            cpus.update(range(int(low), int(high or low) + 1))
        found[int(task.name)] = frozenset(cpus)
    return found


def bound_elsewhere(folder: str) -> list[int]:
    """In a child process: bind to node 0 of a split machine, and return the CPUs there are then."""
    nump.bind_process(0, topology=nump.NumaTopology.from_sysfs(folder))
    return sorted(own_cpus())


def own_cpus() -> frozenset[int]:
    """Return the CPUs of the calling thread."""
    return frozenset(os.sched_getaffinity(0))

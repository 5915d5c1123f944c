"""The memory of a process's cgroup by node, and what the kernel counts of it."""

from __future__ import annotations

_CGROUPS = "/sys/fs/cgroup"


def cgroup_folder(folder: str) -> str | None:
    """Return the folder of the version 2 cgroup of the process whose folder in /proc is `folder`.

    None where the system tells none.
    """
    try:
        with open(f"{folder}/cgroup", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - no pathlib
            path = next(line[3:].rstrip("\n") for line in file if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    return _CGROUPS + path


def memory_by_node(cgroup: str) -> dict[str, dict[int, int]] | None:
    """Return what memory.numa_stat tells: bytes (counts, of ``workingset_``) by name and node.

    None where the system does not tell: cgroup v1, kernels without the file, the root's cgroup.
    """
    try:
        with open(f"{cgroup}/memory.numa_stat", encoding="ascii") as file:  # noqa: PTH123
            lines = [line.split() for line in file]
        return {
            name: {
                int(node.removeprefix("N")): int(size)
                for node, _, size in (count.partition("=") for count in counts)
            }
            for name, *counts in (line for line in lines if line)
        }
    except (OSError, ValueError):
        return None


def counts_of(path: str) -> dict[str, int]:
    """Return a file of ``name value`` lines, as /proc/vmstat and memory.stat; skip other lines.

    An unreadable file is an empty one.
    """
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123
            pairs = [line.split() for line in file]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}

"""A process's cgroup from outside: its memory by node, its limits, its stalls, its counts."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

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
    # Where both versions are mounted, the second has a folder beside those of the first.
    both = f"{_CGROUPS}/unified"
    return (both if os.path.isdir(both) else _CGROUPS) + path  # noqa: PTH112 - no pathlib


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


@dataclass(frozen=True, kw_only=True, slots=True)
class CgroupState:
    """What a cgroup of version 2 tells to everybody; None where it does not.

    Attributes
    ----------
    path : str
        Its folder.
    current_bytes, high_bytes, max_bytes : int or None
        What is charged, file cache included; memory.high and memory.max, None without a limit too.
    stall_some_s, stall_full_s : float or None
        Time in which some and all of its tasks have waited for memory (memory.pressure).
    """

    path: str
    current_bytes: int | None
    high_bytes: int | None
    max_bytes: int | None
    stall_some_s: float | None
    stall_full_s: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary fit for JSON."""
        return asdict(self)


def cgroup_state(folder: str) -> CgroupState | None:
    """Return the state of the cgroup of the process whose folder in /proc is `folder`."""
    cgroup = cgroup_folder(folder)
    if cgroup is None:
        return None
    stalls = _stalls(f"{cgroup}/memory.pressure")
    return CgroupState(
        path=cgroup,
        current_bytes=_number(f"{cgroup}/memory.current"),
        high_bytes=_number(f"{cgroup}/memory.high"),
        max_bytes=_number(f"{cgroup}/memory.max"),
        stall_some_s=stalls.get("some"),
        stall_full_s=stalls.get("full"),
    )


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            return int(file.read())
    except (OSError, ValueError):  # "max": no limit
        return None


def _stalls(path: str) -> dict[str, float]:
    """Return the totals in seconds (Documentation/accounting/psi.rst)."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            lines = [line.split() for line in file]
        return {words[0]: int(words[-1].removeprefix("total=")) / 1e6 for words in lines if words}
    except (OSError, ValueError):
        return {}

"""The threads of a process: the node that each last ran on, and the CPU time it has had."""

from __future__ import annotations

import os
from dataclasses import dataclass

from numapool import _core

# Fields of proc_pid_stat(5) after the name in parentheses.
_USER_TIME, _SYSTEM_TIME, _PROCESSOR = 11, 12, 36


@dataclass(frozen=True, slots=True)
class Task:
    """A thread; `node` is None where its CPU belongs to none that is known."""

    task_id: int
    node: int | None
    cpu_ticks: int


def tasks_of(folder: str, topology: _core.Topology) -> list[Task]:
    """Return the threads of the process whose folder below /proc is `folder`.

    Raises
    ------
    OSError
        The process has gone, or may not be looked at.
    """
    found = []
    for name in os.listdir(f"{folder}/task"):  # noqa: PTH208 - as elsewhere: no pathlib
        try:
            with open(f"{folder}/task/{name}/stat", "rb") as file:  # noqa: PTH123
                fields = file.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        ticks = int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])
        node = topology.node_of_cpu(int(fields[_PROCESSOR]))
        found.append(Task(int(name), node, ticks))
    return found

"""How much of a process's memory accesses goes to other nodes, and what tells it."""

from __future__ import annotations

from numapool.processes.node_loads import counted_share
from numapool.processes.tasks import Task

_FAULTS = "numa_faults node="
_COUNTED = ("task_private", "task_shared")


def remote_share(
    folder: str,
    tasks: list[Task],
    bytes_by_node: dict[int, int],
    node_count: int,
    count_s: float | None = None,
) -> tuple[float | None, str]:
    """Return the share of accesses that are remote, and the evidence.

    Parameters
    ----------
    folder : str
        The process's, below /proc.
    tasks : list of Task
        Its threads.
    bytes_by_node : dict of int to int
        Its resident bytes.
    node_count : int
        The nodes of the machine.
    count_s : float, optional
        How long to let the processor count accesses.

    Raises
    ------
    UnsupportedError
        They were to be counted, and cannot be.
    """
    tasks = [task for task in tasks if task.node is not None]
    if node_count < 2 or not tasks or not sum(bytes_by_node.values()):
        return None, ""
    if count_s is not None:
        counted = counted_share(tasks, count_s)
        if counted is not None:
            return counted, "node_loads"
    sampled = _sampled(folder, tasks)
    if sampled is not None:
        return sampled, "numa_faults"
    return _estimated(tasks, bytes_by_node), "estimate"


def _sampled(folder: str, tasks: list[Task]) -> float | None:
    """Return the share by the faults that automatic balancing samples; None without any.

    They are counted by the node of the memory, and decay (task_numa_placement() in
    kernel/sched/fair.c).
    """
    remote = total = 0
    for task in tasks:
        for node, count in _faults(f"{folder}/task/{task.task_id}/sched").items():
            total += count
            remote += count if node != task.node else 0
    return remote / total if total else None


def _faults(path: str) -> dict[int, int]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - no pathlib
            return faults_in(file.read())
    except OSError:  # it has ended, or this kernel tells nothing
        return {}


def faults_in(text: str) -> dict[int, int]:
    """Return the faults of a thread by the node of the memory, from its file ``sched``."""
    faults: dict[int, int] = {}
    for line in text.splitlines():
        if not line.startswith(_FAULTS):
            continue
        values = dict(word.split("=") for word in line.split()[1:] if word.count("=") == 1)
        if all(value.isdecimal() for value in values.values()):
            faults[int(values["node"])] = sum(int(values.get(name, 0)) for name in _COUNTED)
    return faults


def _estimated(tasks: list[Task], bytes_by_node: dict[int, int]) -> float:
    """Return the share if every page is used alike, in the CPU time of each thread."""
    total = sum(bytes_by_node.values())
    # A process that has not run for a tick yet: each thread counts alike.
    weights = [task.cpu_ticks for task in tasks] if any(t.cpu_ticks for t in tasks) else None
    used = weights or [1] * len(tasks)
    local = sum(
        weight * bytes_by_node.get(task.node if task.node is not None else -1, 0)
        for task, weight in zip(tasks, used, strict=True)
    )
    return 1 - local / (total * sum(used))

"""Where a process is: its pages by use and node, its policy, its CPUs, its threads by node."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Any, SupportsIndex

from numapool import _core
from numapool.base import arguments
from numapool.base.errors import UnsupportedError
from numapool.base.units import ids_of
from numapool.processes.cgroup_memory import cgroup_folder, memory_by_node
from numapool.processes.remote import remote_share
from numapool.processes.tasks import Task, tasks_of

_PROC = "/proc"
#: What pages are there for, in the order in which tables show it.
USES = ("heap", "stack", "huge", "file", "private")
_CHARGED = ("anon", "file")  # of memory.numa_stat; the rest is the kernel's own


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessPlacement:
    """Where a process's pages and threads are, as the system told when it was asked.

    Attributes
    ----------
    pid : int
        The process.
    name : str
        What the system calls it (proc_pid_comm(5)).
    bytes_by_use : dict[str, dict[int, int]]
        Resident bytes by use and by node: ``"heap"``, ``"stack"`` (of the first
        thread), ``"huge"`` (hugetlb pages), ``"file"`` (of mapped files, private copies included)
        and ``"private"`` (everything else). numastat(8) counts the last two as one. A page that
        several processes share counts in each of them.
    mappings : int
        How many mappings the process has.
    policy : str
        The memory policy of its first thread, in the kernel's words: ``"default"``, ``"prefer:1"``.
    cpus : tuple[int, ...]
        The CPUs that its first thread may run on.
    memory_nodes : tuple[int, ...]
        The nodes that it may take memory from (its cpuset).
    threads_by_node : dict[int, int]
        How many threads last ran on each node's CPUs.
    cgroup_bytes_by_node : dict[int, int] or None
        Anonymous and file memory of its memory cgroup, which other processes may be in too; None
        where the system does not tell (cgroup v1, kernels without ``memory.numa_stat``).
    remote_share : float or None
        The share of memory accesses that went to another node than the thread's, from 0 to 1. None
        where there is only one node, or no page.
    remote_evidence : str
        What told it. ``"node_loads"``: the processor counted reads from memory, as `count_s` asked
        for. ``"numa_faults"``: the kernel's sampling of accesses (automatic balancing,
        /proc/PID/task/TID/sched). ``"estimate"``: pages by node, weighted by the CPU time of
        the threads on each node; it takes every page to be used alike. Empty where there is no
        share.
    """

    pid: int
    name: str
    bytes_by_use: dict[str, dict[int, int]] = field(default_factory=dict)
    mappings: int
    policy: str
    cpus: tuple[int, ...]
    memory_nodes: tuple[int, ...]
    threads_by_node: dict[int, int] = field(default_factory=dict)
    cgroup_bytes_by_node: dict[int, int] | None
    remote_share: float | None
    remote_evidence: str

    @property
    def bytes_by_node(self) -> dict[int, int]:
        """Resident bytes on each node that holds any, by ascending id."""
        return _sums(self.bytes_by_use)

    @property
    def resident_bytes(self) -> int:
        """Bytes that are in memory, on whichever node."""
        return sum(self.bytes_by_node.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary fit for JSON."""
        return {
            "pid": self.pid,
            "name": self.name,
            "resident_bytes": self.resident_bytes,
            "bytes_by_node": self.bytes_by_node,
            "bytes_by_use": self.bytes_by_use,
            "mappings": self.mappings,
            "policy": self.policy,
            "cpus": list(self.cpus),
            "memory_nodes": list(self.memory_nodes),
            "threads_by_node": self.threads_by_node,
            "cgroup_bytes_by_node": self.cgroup_bytes_by_node,
            "remote_share": self.remote_share,
            "remote_evidence": self.remote_evidence,
        }

    def _repr_html_(self) -> str:
        from numapool.processes.inspect_html import placement_html

        return placement_html(self)


def process_placement(
    pid: SupportsIndex | None = None, *, count_s: float | None = None
) -> ProcessPlacement:
    """Return where a process's pages and threads are now.

    The system walks every page of the process for it, which takes a second or so for each 100 GiB
    of base pages; the process is not stopped.

    Parameters
    ----------
    pid : int, optional
        The process; by default this one.
    count_s : float, optional
        Have the processor count for so many seconds which of the process's reads from memory go to
        another node (perf's ``node-loads`` and ``node-load-misses``), instead of estimating the
        remote share.

    Raises
    ------
    ProcessLookupError
        The process does not exist, or ends meanwhile.
    PermissionError
        It is another user's: looking at it takes CAP_SYS_PTRACE.
    UnsupportedError
        The system does not tell: the kernel is built without NUMA, or it is not Linux. With
        `count_s`: the processor has no such counters, as in most virtual machines, or
        kernel.perf_event_paranoid keeps them from this user.
    """
    wanted = os.getpid() if pid is None else arguments.at_least("pid", pid, 1)
    seconds = None if count_s is None else arguments.wait("count_s", count_s)
    if seconds == math.inf:
        raise ValueError(arguments.must_be("count_s", "a number of seconds", count_s))
    return placement_in(f"{_PROC}/{wanted}", wanted, count_s=seconds)


def placement_in(
    folder: str,
    pid: int,
    memory: _core.ProcessMemory | None = None,
    *,
    count_s: float | None = None,
) -> ProcessPlacement:
    """Return the same of the process whose folder below /proc is `folder`.

    `memory` is where its pages are, if that has just been read.
    """
    topology = _core.current_topology()
    try:
        memory = _core.process_memory(folder) if memory is None else memory
        status = _status(folder)
        tasks = tasks_of(folder, topology)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise _gone(folder, pid) from error
    except PermissionError as error:
        raise PermissionError(
            error.errno,
            f"cannot look at process {pid}: it is another user's or protected. Run as that user or "
            "as root (CAP_SYS_PTRACE)",
        ) from error
    by_use = memory.bytes_by_use
    total = _sums(by_use)
    share, evidence = remote_share(folder, tasks, total, len(topology.nodes()), count_s)
    return ProcessPlacement(
        pid=pid,
        name=status.get("Name", ""),
        bytes_by_use={use: dict(sorted(by_use[use].items())) for use in USES if use in by_use},
        mappings=memory.mappings,
        policy=memory.policy,
        cpus=tuple(ids_of(status["Cpus_allowed_list"])),
        memory_nodes=tuple(ids_of(status["Mems_allowed_list"])),
        threads_by_node=_threads_by_node(tasks),
        cgroup_bytes_by_node=_cgroup_bytes(folder),
        remote_share=share,
        remote_evidence=evidence,
    )


def _gone(folder: str, pid: int) -> OSError:
    if os.path.exists(f"{folder}/status"):  # noqa: PTH110 - as elsewhere: no pathlib
        return UnsupportedError(
            f"this kernel does not tell where the pages of process {pid} are: there is no "
            f"{folder}/numa_maps (CONFIG_NUMA)"
        )
    return ProcessLookupError(f"there is no process {pid}")


def _sums(by_use: dict[str, dict[int, int]]) -> dict[int, int]:
    sums: dict[int, int] = {}
    for nodes in by_use.values():
        for node, count in nodes.items():
            sums[node] = sums.get(node, 0) + count
    return dict(sorted(sums.items()))


def _status(folder: str) -> dict[str, str]:
    with open(f"{folder}/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        pairs = (line.rstrip("\n").partition(":\t") for line in file)
        return {name: value for name, colon, value in pairs if colon}


def _threads_by_node(tasks: list[Task]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for task in tasks:
        if task.node is not None:
            counts[task.node] = counts.get(task.node, 0) + 1
    return dict(sorted(counts.items()))


def _cgroup_bytes(folder: str) -> dict[int, int] | None:
    cgroup = cgroup_folder(folder)
    told = None if cgroup is None else memory_by_node(cgroup)
    if told is None:
        return None
    sums: dict[int, int] = {}
    for name in _CHARGED:
        for node, size in told.get(name, {}).items():
            sums[node] = sums.get(node, 0) + size
    return sums

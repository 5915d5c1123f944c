"""Where this process's memory and threads are, and what the kernel counts by node."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from numapool import _core
from numapool.processes.cgroup_memory import cgroup_folder, counts_of, memory_by_node
from numapool.processes.remote import remote_share
from numapool.processes.tasks import Task, tasks_of

#: A figure: the metric's name, the values of its labels, and the value.
Figure = tuple[str, tuple[object, ...], float]

_PROC, _NODES = "/proc", "/sys/devices/system/node"
#: The kernel's names of what a node gave (Documentation/admin-guide/numastat.rst).
_GIVEN = {
    "numa_hit": "hit",
    "numa_miss": "miss",
    "numa_foreign": "foreign",
    "interleave_hit": "interleave_hit",
    "local_node": "local",
    "other_node": "other",
}
#: What is told of memory.numa_stat: kinds that take memory, some of which are part of another.
_CHARGED = (
    "anon",
    "anon_thp",
    "file",
    "shmem",
    "kernel_stack",
    "pagetables",
    "slab_reclaimable",
    "slab_unreclaimable",
)
#: The kernel walks every page of a process to say where they are. It is asked at most for this
#: share of the time: after a look of 150 ms not before 15 s have passed.
_MOST_OF_THE_TIME = 0.01
#: A look at one thread costs a few files; of more threads, this many are looked at.
_MOST_THREADS = 64


@dataclass(frozen=True, slots=True)
class _Look:
    """What the kernel said of the pages, when, and how long it took."""

    memory: _core.ProcessMemory
    at_s: float
    took_s: float


class Locality:
    """Reads the figures; remembers where the pages were. What cannot be read is left out.

    Not safe for several threads at once.
    """

    def __init__(self, proc: str = _PROC, nodes: str = _NODES) -> None:
        self._proc = proc
        self._nodes = nodes
        self._look: _Look | None = None

    def figures(self, node_ids: tuple[int, ...]) -> Iterator[Figure]:
        """Read everything; `node_ids` are the nodes that are online."""
        yield from self._of_pages()
        yield from self._of_threads()
        yield from self._of_nodes(node_ids)
        yield from self._of_machine()
        yield from self._of_cgroup()

    def _pages(self) -> _Look | None:
        last, now = self._look, time.monotonic()
        if last is not None and now - last.at_s < last.took_s / _MOST_OF_THE_TIME:
            return last
        try:
            memory = _core.process_memory(f"{self._proc}/self")
        except OSError:  # no NUMA in this kernel, no right to look, no descriptors
            return None
        end = time.monotonic()
        self._look = _Look(memory, end, end - now)
        return self._look

    def _of_pages(self) -> Iterator[Figure]:
        look = self._pages()
        if look is not None:
            for use, sizes in look.memory.bytes_by_use.items():
                for node, size in sizes.items():
                    yield "process_resident_bytes", (node, use), size
            yield "process_mappings", (), look.memory.mappings
            yield "process_residency_age_seconds", (), time.monotonic() - look.at_s
            yield "process_residency_read_seconds", (), look.took_s

    def _of_threads(self) -> Iterator[Figure]:
        own = f"{self._proc}/self"
        try:
            topology = _core.current_topology()
            tasks = tasks_of(own, topology)
        except (OSError, ValueError, IndexError):  # no /proc that tells it, no descriptors
            return
        threads: dict[int, int] = {}
        for task in tasks:
            if task.node is not None:
                threads[task.node] = threads.get(task.node, 0) + 1
        for node, count in sorted(threads.items()):
            yield "process_threads", (node,), count
        busiest = sorted(tasks, key=lambda task: -task.cpu_ticks)[:_MOST_THREADS]
        share, evidence = remote_share(own, busiest, self._by_node(), len(topology.nodes()))
        if share is not None:
            yield "process_remote_ratio", (evidence,), share
        moved = self._balanced_pages(busiest)
        if moved is not None:
            yield "process_balanced_pages", (), moved

    def _by_node(self) -> dict[int, int]:
        sums: dict[int, int] = {}
        if self._look is not None:
            for sizes in self._look.memory.bytes_by_use.values():
                for node, size in sizes.items():
                    sums[node] = sums.get(node, 0) + size
        return sums

    def _balanced_pages(self, tasks: list[Task]) -> int | None:
        """Return what the kernel counts in ``sched`` of each thread (sched_show_numa())."""
        total = None
        for task in tasks:
            path = f"{self._proc}/self/task/{task.task_id}/sched"
            try:
                with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123
                    found = [line for line in file if line.startswith("numa_pages_migrated")]
                total = (total or 0) + int(found[0].rpartition(":")[2])
            except (OSError, ValueError, IndexError):  # it has ended, or the kernel tells nothing
                continue
        return total

    def _of_nodes(self, node_ids: tuple[int, ...]) -> Iterator[Figure]:
        for node in node_ids:
            counts = counts_of(f"{self._nodes}/node{node}/numastat")
            for name, kind in _GIVEN.items():
                if name in counts:
                    yield "node_allocated_pages_total", (node, kind), counts[name]

    def _of_machine(self) -> Iterator[Figure]:
        counts = counts_of(f"{self._proc}/vmstat")
        for result in ("success", "fail"):
            if f"pgmigrate_{result}" in counts:
                yield "machine_migrated_pages_total", (result,), counts[f"pgmigrate_{result}"]
        demoted = [count for name, count in counts.items() if name.startswith("pgdemote_")]
        if demoted:
            yield "machine_demoted_pages_total", (), sum(demoted)
        if "pgpromote_success" in counts:
            yield "machine_promoted_pages_total", (), counts["pgpromote_success"]
        if "numa_hint_faults" in counts:
            local = counts.get("numa_hint_faults_local", 0)
            yield "machine_balancing_faults_total", ("local",), local
            remote = max(0, counts["numa_hint_faults"] - local)
            yield "machine_balancing_faults_total", ("remote",), remote
        if "numa_pages_migrated" in counts:
            yield "machine_balancing_migrated_pages_total", (), counts["numa_pages_migrated"]

    def _of_cgroup(self) -> Iterator[Figure]:
        cgroup = cgroup_folder(f"{self._proc}/self")
        if cgroup is None:
            return
        told = memory_by_node(cgroup) or {}
        for kind in _CHARGED:
            for node, size in told.get(kind, {}).items():
                yield "cgroup_memory_bytes", (node, kind), size
        counts = counts_of(f"{cgroup}/memory.stat")  # counted since Linux 6.13
        if "numa_hint_faults" in counts:
            yield "cgroup_balancing_faults_total", (), counts["numa_hint_faults"]
        if "numa_pages_migrated" in counts:
            yield "cgroup_balancing_migrated_pages_total", (), counts["numa_pages_migrated"]

"""Moves the pages of a running process from nodes to nodes."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, SupportsIndex

from numapool import _core
from numapool.base import arguments
from numapool.base.errors import UnsupportedError
from numapool.base.units import size_text
from numapool.machine.node_set import NodesLike, named_of, nodes_of
from numapool.processes.binding import existing, nodes_text, usable_cpus
from numapool.processes.inspect import ProcessPlacement, placement_in, process_placement

_LOOK_S = 0.25
#: One thread moves a part of this size at a time, or of up to four times that. For each call the
#: kernel has every CPU put its own lists of pages right and waits for that, which is little beside
#: so many pages.
_PART_BYTES = 64 << 20
_LARGEST_PARTS = 4
#: The kernel copies on the CPU that asks. More threads wait for its locks and the memory.
_MOST_THREADS = 4
#: Of CPUs that are not the target's: the others are left to the process, which runs on.
_THREADS_PER_CPU = 0.5
#: Between two looks, at least so many times as long as a look takes.
_RARELY = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessMigration:
    """What :func:`migrate_process` came to.

    Attributes
    ----------
    pid : int
        The process.
    from_nodes, to_nodes : tuple[int, ...]
        The nodes that were asked for.
    before, after : ProcessPlacement
        Where the process was, and where it is now, as the system told.
    kept_bytes : dict[str, int]
        Bytes that are on `from_nodes` still, by the likely reason: ``"shared"`` (in mappings of
        which other processes have pages too: libraries, shared memory), ``"huge"`` (hugetlb pages,
        for which the target has none free), ``"full"`` (the target has no room), ``"busy"`` (in use
        by the kernel or a device, or new since). A reason that did not occur is not there.
    elapsed_s : float
        How long it took.
    """

    pid: int
    from_nodes: tuple[int, ...]
    to_nodes: tuple[int, ...]
    before: ProcessPlacement
    after: ProcessPlacement
    kept_bytes: dict[str, int] = field(default_factory=dict)
    elapsed_s: float

    @property
    def moved_bytes(self) -> int:
        """Bytes that are no longer on `from_nodes`."""
        return max(0, _on(self.before, self.from_nodes) - _on(self.after, self.from_nodes))

    @property
    def complete(self) -> bool:
        """Whether no page is left on `from_nodes`."""
        return not self.kept_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary fit for JSON."""
        return {
            "pid": self.pid,
            "from_nodes": list(self.from_nodes),
            "to_nodes": list(self.to_nodes),
            "moved_bytes": self.moved_bytes,
            "kept_bytes": self.kept_bytes,
            "elapsed_s": self.elapsed_s,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }


def migrate_process(
    pid: SupportsIndex,
    from_nodes: NodesLike | None,
    to_nodes: NodesLike,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> ProcessMigration:
    """Move the pages that a process has on some nodes to others.

    Large mappings of its own move in parts, by up to four threads on the target's CPUs and huge
    page by huge page (move_pages(2)), everything else in one call (migrate_pages(2)). Where the
    target has fewer than two CPUs for this thread, and the machine fewer than four, there is only
    that call, which migratepages(8) makes, too.

    Its CPUs and its memory policy stay as they are: pages that it touches for the first time later
    go where that policy says. The process runs on meanwhile, and waits for single pages only.

    Parameters
    ----------
    pid : int
        The process.
    from_nodes : NodesLike, optional
        The nodes to leave; None: all but `to_nodes`.
    to_nodes : NodesLike
        The nodes to go to. Of several, pages of one node go to the nearest with room for all of
        them, else to one after the other.
    progress : callable, optional
        Called with the bytes that have moved and those to move, a few times a second.

    Returns
    -------
    ProcessMigration
        What moved, what did not and why, and where the process is now.

    Raises
    ------
    MemoryError
        The target nodes do not have room for the pages above the kernel's reserve; nothing was
        moved.
    NodeNotFoundError
        The machine has no such node.
    ProcessLookupError
        The process does not exist, or ends meanwhile.
    PermissionError
        It is another user's, or confined to other nodes: that takes CAP_SYS_NICE.
    UnsupportedError
        The system has no such call.
    ValueError
        There is no target.
    """
    wanted = arguments.at_least("pid", pid, 1)
    targets = existing(named_of("to_nodes", to_nodes))
    before = process_placement(wanted)
    if from_nodes is None:
        sources = list(before.bytes_by_node)
    else:
        sources = existing(nodes_of("from_nodes", from_nodes))
    sources = [node for node in sources if node not in targets]
    _require_room(before, sources, targets)
    begin = time.monotonic()
    watched = _Watched(wanted, _on(before, sources), sources, progress)
    for source in sources:
        _empty(watched, source, targets, before.bytes_by_node.get(source, 0))
    elapsed_s = time.monotonic() - begin
    memory = _memory(wanted)
    after = placement_in(f"/proc/{wanted}", wanted, memory)
    return ProcessMigration(
        pid=wanted,
        from_nodes=tuple(sources),
        to_nodes=tuple(targets),
        before=before,
        after=after,
        kept_bytes=_kept(memory, sources, targets),
        elapsed_s=elapsed_s,
    )


def _on(placement: ProcessPlacement, nodes: Iterable[int]) -> int:
    return sum(placement.bytes_by_node.get(node, 0) for node in nodes)


def _require_room(before: ProcessPlacement, sources: list[int], targets: list[int]) -> None:
    needed = _on(before, sources)
    room = sum(map(_core.room_for_pages, targets))
    if needed > room:
        raise MemoryError(
            f"cannot move {size_text(needed)} of process {before.pid} to {nodes_text(targets)}: "
            f"{size_text(room)} are available there. Name more nodes, or free memory on them"
        )


def _empty(watched: _Watched, source: int, targets: list[int], left: int) -> None:
    """Move the pages of a node to the targets, until none is left or no target takes more."""
    core = _core.current_topology()
    nearest = [node for node in core.nearest(source) if node in targets]
    # Those that have room for all, then the others; of each the nearest first.
    nearest.sort(key=lambda node: _core.room_for_pages(node) < left)
    for target in nearest:
        if not left:
            return
        watched.move(source, target)
        if target == nearest[-1]:
            return
        now = watched.left_on(source)
        if now == left:
            return  # pages that stay have other reasons than room
        left = now


class _Watched:
    """A process whose pages are being moved, and who is told of it."""

    def __init__(
        self,
        pid: int,
        needed: int,
        sources: list[int],
        progress: Callable[[int, int], object] | None,
    ) -> None:
        self._pid = pid
        self._needed = needed
        self._sources = sources
        self._progress = progress

    def left_on(self, node: int) -> int:
        """Return the bytes that the process has on a node."""
        by_use = _memory(self._pid).bytes_by_use
        return sum(nodes.get(node, 0) for nodes in by_use.values())

    def move(self, source: int, target: int) -> None:
        """Move what can be moved from node to node, and tell how far it is meanwhile.

        First large mappings that are the process's alone, in parts and by several threads, where
        there are CPUs for them; then the rest, in one call.
        """
        threads, cpus = movers(target)
        if threads > 1:
            parts = parts_of(_areas(self._pid, source, target), threads)
            try:
                if parts:
                    self._run(*[partial(self._move_parts, parts, target, cpus)] * threads)
            finally:
                parts.clear()  # an interrupt ends the threads

        failures: list[OSError] = []

        def rest() -> None:
            try:
                _core.migrate_process(self._pid, [source], [target])
            except OSError as error:
                failures.append(error)

        self._run(rest)
        if failures:
            raise self._explained(failures[0])

    def _move_parts(self, parts: deque[tuple[int, int]], target: int, cpus: frozenset[int]) -> None:
        """Move parts until there are no more, the node is full, or the system refuses it.

        It is the whole of a thread, which runs on these CPUs. It holds no lock while it moves: a
        child that another thread forks lacks it, and has nothing to wait for.
        """
        with contextlib.suppress(OSError):  # it is faster there, and right anywhere
            if sys.platform != "win32":
                os.sched_setaffinity(0, cpus)
        with contextlib.suppress(IndexError, OSError):
            while True:
                begin, end = parts.popleft()
                if _core.room_for_pages(target) < end - begin:
                    return
                _core.move_process_pages(self._pid, begin, end, target)

    def _run(self, *works: Callable[[], None]) -> None:
        if self._progress is None and len(works) == 1:
            works[0]()
            return
        # Daemons, so that an interrupt ends the call and the program does not wait for them. Pages
        # that were moved by then stay moved.
        threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            if self._progress is None:
                thread.join()
            else:
                self._tell_until_the_end_of(thread)

    def _tell_until_the_end_of(self, thread: threading.Thread) -> None:
        assert self._progress is not None
        pause_s = _LOOK_S
        while True:
            thread.join(pause_s)
            begin = time.monotonic()
            moved = self._needed - sum(map(self.left_on, self._sources))
            self._progress(min(max(moved, 0), self._needed), self._needed)
            if not thread.is_alive():
                return
            pause_s = max(_LOOK_S, _RARELY * (time.monotonic() - begin))

    def _explained(self, error: OSError) -> OSError:
        if error.errno == errno.ESRCH:
            return ProcessLookupError(errno.ESRCH, f"there is no process {self._pid}")
        if error.errno == errno.ENOSYS:
            return UnsupportedError(errno.ENOSYS, "this system has no migrate_pages(2)")
        if error.errno in (errno.EPERM, errno.EACCES):
            own = self._pid == os.getpid()
            why = (
                "a container's seccomp profile refuses migrate_pages(2)"
                if own
                else (
                    "it is another user's, it may not use these nodes, or a container's seccomp "
                    "profile refuses migrate_pages(2). Run as root (CAP_SYS_NICE)"
                )
            )
            return PermissionError(error.errno, f"cannot move pages of process {self._pid}: {why}")
        return error


def _memory(pid: int) -> _core.ProcessMemory:
    try:
        return _core.process_memory(f"/proc/{pid}")
    except FileNotFoundError:
        raise ProcessLookupError(errno.ESRCH, f"process {pid} has ended") from None


def _areas(pid: int, source: int, target: int) -> list[tuple[int, int]]:
    try:
        found = _core.private_areas(f"/proc/{pid}", source, target)
    except OSError:  # whatever it is, the call for all of the process will say it
        return []
    return [(one.begin, one.end) for one in found]


def parts_of(areas: Iterable[tuple[int, int]], threads: int) -> deque[tuple[int, int]]:
    """Cut areas of addresses that are large enough into parts, at multiples of their size.

    Two or more for each thread, so that none waits long for another.
    """
    large = [(begin, end) for begin, end in areas if end - begin >= _PART_BYTES]
    share = sum(end - begin for begin, end in large) // (2 * threads)
    size = _PART_BYTES * min(max(1, -(-share // _PART_BYTES)), _LARGEST_PARTS)
    parts: deque[tuple[int, int]] = deque()
    for begin, end in large:
        while begin < end:
            next_part = min(end, (begin // size + 1) * size)
            parts.append((begin, next_part))
            begin = next_part
    return parts


def movers(target: int) -> tuple[int, frozenset[int]]:
    """Return how many threads move parts, and on which CPUs.

    Those of the target write to memory of their own node. One thread would gain nothing over the
    one call.
    """
    usable = usable_cpus()
    nodes = {node.node_id: node.cpus for node in _core.current_topology().nodes()}
    if len(near := usable.intersection(nodes.get(target, ()))) > 1:
        return min(_MOST_THREADS, len(near)), near
    return min(_MOST_THREADS, int(_THREADS_PER_CPU * len(usable))), usable


def _kept(memory: _core.ProcessMemory, sources: list[int], targets: list[int]) -> dict[str, int]:
    """Return the bytes left on the nodes, by the likely reason."""
    by_use, shared = memory.bytes_by_use, memory.shared_bytes_by_node
    left = sum(nodes.get(node, 0) for nodes in by_use.values() for node in sources)
    huge = sum(by_use.get("huge", {}).get(node, 0) for node in sources)
    kept = {"huge": huge}
    left -= huge
    kept["shared"] = min(left, sum(shared.get(node, 0) for node in sources))
    left -= kept["shared"]
    room = sum(map(_core.room_for_pages, targets))
    kept["full" if room < left else "busy"] = left
    return {reason: size for reason, size in kept.items() if size}

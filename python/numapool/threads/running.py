"""Runs threads near their data: on the CPUs of a node."""

from __future__ import annotations

import threading
import time
from contextlib import ContextDecorator
from dataclasses import dataclass
from types import TracebackType

from numapool import _core
from numapool.base import arguments
from numapool.base.errors import UnsupportedError
from numapool.machine.node_set import NodeLike, node_of
from numapool.machine.topology import NumaTopology, current_topology
from numapool.threads import thread_cpus
from numapool.threads.affinity import CpuPlacement, Pinned, pin, unpin, warn_of_other_node
from numapool.threads.inherited_binding import hand_down
from numapool.threads.open_blocks import OpenBlocks

# A thread that was being started while its maker was moved has its maker's former CPUs, and may be
# listed only a moment later.
_QUIET_LOOKS = 2
_QUIET_S = 0.001


class run_on(ContextDecorator):
    """Have the calling thread run on the CPUs of a node in a ``with`` block.

    Only CPUs are used that the thread may use anyway, as its cpuset or ``taskset`` left them. Where
    none of them is on the node, or the node is memory without CPUs, the nearest node that has some
    takes its place, with a warning. Blocks may be nested, also for another node, and one object may
    be used again, from several threads too; it also decorates functions. The former CPUs come back
    at the end, whatever happens inside.

    On Windows a thread runs in one processor group at a time, so that CPUs of a node over several
    groups are used in turn, and threads that are started inside have the process's CPUs (on Linux
    they have this one's).

    Memory follows: what is first touched inside comes from that node unless a policy says
    otherwise, and numapool's allocations that name no node go to it.

    Parameters
    ----------
    node : NodeLike
        The node to run on.
    topology : NumaTopology, optional
        The machine; detected now if not given.

    Raises
    ------
    NodeNotFoundError
        The machine has no such node.
    UnsupportedError
        On entry: the platform has no way to choose CPUs, or the system refuses
        sched_setaffinity(2); nothing was changed.
    RuntimeError
        On exit from a thread that did not enter.

    Warns
    -----
    PlacementWarning
        Once per node that has no CPUs to be used.

    Examples
    --------
    >>> with run_on(0) as placement:
    ...     placement.node_id
    0
    """

    def __init__(self, node: NodeLike, *, topology: NumaTopology | None = None) -> None:
        wanted = node_of("node", node)
        given = arguments.optional_instance("topology", topology, NumaTopology)
        self._topology = current_topology() if given is None else given
        self._node = self._topology.node(wanted).node_id
        self._open: OpenBlocks[tuple[Pinned, int]] = OpenBlocks()

    def __repr__(self) -> str:
        return f"<run_on node {self._node}>"

    def __enter__(self) -> CpuPlacement:
        pinned = pin(self._node, self._topology)
        self._open.enter((pinned, _core.set_home_node(pinned.placement.node_id)))
        try:
            warn_of_other_node(pinned.placement)
        except Warning:
            self._leave()
            raise
        return pinned.placement

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        pinned, home = self._open.leave("run_on")
        _core.set_home_node(home)
        unpin(pinned)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessBinding:
    """What :func:`bind_process` did.

    Attributes
    ----------
    requested_node : int
        The node that was asked for.
    node_id : int
        The node whose CPUs are used.
    cpus : tuple[int, ...]
        The CPUs, ascending.
    memory_node : int or None
        The node that the calling thread, and threads that it starts, prefer for memory; None where
        the system let no policy be set.
    thread_ids : tuple[int, ...]
        The kernel's ids of the threads that run on these CPUs now.
    not_done : tuple[str, ...]
        What could not be done, in words.
    """

    requested_node: int
    node_id: int
    cpus: tuple[int, ...]
    memory_node: int | None
    thread_ids: tuple[int, ...]
    not_done: tuple[str, ...]


def prefer_memory_of(topology: NumaTopology, node: int) -> tuple[int | None, str]:
    """Prefer the memory of a node, or of the nearest with memory, in the calling thread from now.

    Returns
    -------
    tuple
        The node that is preferred, None where that could not be said to the system, and why not.
    """
    nearest = topology._core.memory_order(node)
    if not nearest:
        return None, "this process may use the memory of no node"
    if not thread_cpus.INHERITED:
        return _memory_that_follows(nearest[0], node)
    try:
        _core.set_thread_policy(_core.ThreadMode.PREFERRED, [nearest[0]])
    except OSError as error:
        return None, str(error.strerror or error)
    return nearest[0], ""


def _memory_that_follows(nearest: int, node: int) -> tuple[int | None, str]:
    """Windows: threads have no policy, what they touch comes from the node that they run on."""
    if nearest == node:
        return node, ""
    return None, f"Windows threads have no memory policy, and node {node} has no memory to be used"


def bind_process(node: NodeLike, *, topology: NumaTopology | None = None) -> ProcessBinding:
    """Have every thread of this process run on the CPUs of a node, for good.

    All threads there are now are moved, and those that they start follow; the calling thread, and
    threads that it starts, also prefer the node's memory; numapool's allocations that name no node
    go to it in all threads. A second call binds anew. Child processes
    inherit the binding of the thread that starts them, and may bind themselves elsewhere: the
    environment variable ``NUMAPOOL_BOUND_CPUS`` tells them which CPUs they could use. On Windows,
    later threads follow by the process's default CPU sets (Windows 10), and child processes do not
    inherit it.

    Parameters
    ----------
    node : NodeLike
        The node; where it has no CPUs that this process may use, the nearest that has.
    topology : NumaTopology, optional
        The machine; detected now if not given.

    Returns
    -------
    ProcessBinding
        What was bound, and in :attr:`~ProcessBinding.not_done` what could not be: no process can
        set the memory policy of another thread (set_mempolicy(2)), and memory that is there already
        does not move.

    Raises
    ------
    NodeNotFoundError
        The machine has no such node.
    UnsupportedError
        The platform has no way to choose CPUs, the system refuses sched_setaffinity(2), or
        /proc/self/task cannot be read; nothing was changed.

    Warns
    -----
    PlacementWarning
        Once per node that has no CPUs to be used.
    """
    wanted = node_of("node", node)
    arguments.optional_instance("topology", topology, NumaTopology)
    topology = current_topology() if topology is None else topology
    wanted = topology.node(wanted).node_id
    own = threading.get_native_id()
    if thread_cpus.AVAILABLE:  # else pin() says what is missing
        _threads()
    pinned = pin(wanted, topology)
    placement = pinned.placement
    try:
        warn_of_other_node(placement)
    except Warning:
        unpin(pinned)
        raise
    memory_node, why_not = prefer_memory_of(topology, wanted)
    not_done = [f"memory policy of this thread: {why_not}"] if memory_node is None else []
    _core.set_process_home_node(wanted)
    _core.set_home_node(-1)  # this thread's own, which a block may have set
    try:
        thread_cpus.have_follow(frozenset(placement.cpus))
    except OSError as error:
        not_done.append(f"CPUs of threads that are started later: {error}")
    if thread_cpus.INHERITED:
        try:
            hand_down(frozenset(placement.cpus), pinned.base)
        except OSError as error:
            not_done.append(f"CPUs of child processes, which may not bind elsewhere: {error}")
    bound, failed = _bind_others(own, frozenset(placement.cpus))
    not_done += [f"CPUs of thread {thread}: {why}" for thread, why in failed.items()]
    others = len(bound) + len(failed)
    if others and thread_cpus.INHERITED:
        not_done.append(
            f"memory policy of {others} other thread{'s' if others > 1 else ''}: each can only set "
            "its own, by memory_policy"
        )
    return ProcessBinding(
        requested_node=wanted,
        node_id=placement.node_id,
        cpus=placement.cpus,
        memory_node=memory_node,
        thread_ids=tuple(sorted([own, *bound])),
        not_done=tuple(not_done),
    )


def _threads() -> list[int]:
    try:
        return thread_cpus.threads()
    except OSError as error:
        raise UnsupportedError(
            error.errno,
            f"cannot list this process's threads: {error.strerror}",
        ) from error


def _bind_others(own: int, cpus: frozenset[int]) -> tuple[list[int], dict[int, str]]:
    """Move all threads but the calling one; also those that unmoved ones start meanwhile."""
    seen = {own}
    bound: list[int] = []
    failed: dict[int, str] = {}
    quiet = 0
    while quiet < _QUIET_LOOKS:
        new = [one for one in _threads() if one not in seen]
        for thread in new:
            seen.add(thread)
            try:
                thread_cpus.set(cpus, thread)
            except ProcessLookupError:  # it has ended
                continue
            except OSError as error:
                failed[thread] = str(error.strerror)
            else:
                bound.append(thread)
        quiet = 0 if new else quiet + 1
        time.sleep(0 if new else _QUIET_S)
    return bound, failed

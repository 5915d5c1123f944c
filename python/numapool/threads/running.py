"""Runs threads near their data: on the CPUs of a node."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ContextDecorator
from dataclasses import dataclass
from types import TracebackType

from numapool import _core
from numapool.base import arguments
from numapool.base.errors import UnsupportedError
from numapool.base.units import ids_text
from numapool.machine.node_set import NodesLike, named_of
from numapool.machine.topology import NumaTopology, current_topology
from numapool.memory.memory_policy import prefer
from numapool.threads import thread_cpus
from numapool.threads.affinity import CpuPlacement, Pinned, pin, unpin, warn_of_other_node
from numapool.threads.inherited_binding import hand_down
from numapool.threads.open_blocks import OpenBlocks

# A thread that was being started while its maker was moved has its maker's former CPUs, and may be
# listed only a moment later.
_QUIET_LOOKS = 2
_QUIET_S = 0.001


#: To :func:`_core.set_home_node`: the CPU that the thread runs on tells (home_node.hpp).
HOME_OF_CPU = -2


class run_on(ContextDecorator):
    """Have the calling thread run on the CPUs of a node, or of several, in a ``with`` block.

    Only CPUs are used that the thread may use anyway, as its cpuset or ``taskset`` left them. Where
    none of them is on the node, or the node is memory without CPUs, the nearest node that has some
    takes its place, with a warning. Blocks may be nested, also for another node, and one object may
    be used again, from several threads too; it also decorates functions. The former CPUs come back
    at the end, whatever happens inside.

    On Windows a thread runs in one processor group at a time, so that CPUs of a node over several
    groups are used in turn, and threads that are started inside have the process's CPUs (on Linux
    they have this one's).

    Memory follows: pages first touched inside come from that node unless a policy says
    otherwise, and numapool's allocations that name no node go to it. On several nodes they go to
    the node of the CPU that the thread runs on at the moment.

    Parameters
    ----------
    node : NodesLike or None
        The node to run on. Of several nodes, all the CPUs. None, as of a device whose node is
        unknown, is that of the calling thread, with a warning.
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
        Once per node that has no CPUs to be used; once for None.

    Examples
    --------
    >>> with run_on(0) as placement:
    ...     placement.node_id
    0
    """

    def __init__(self, node: NodesLike | None, *, topology: NumaTopology | None = None) -> None:
        wanted = named_of("node", node)
        given = arguments.optional_instance("topology", topology, NumaTopology)
        self._topology = current_topology() if given is None else given
        self._nodes = [self._topology.node(one).node_id for one in wanted]
        self._open: OpenBlocks[tuple[Pinned, int]] = OpenBlocks()

    def __repr__(self) -> str:
        return f"<run_on node {ids_text(self._nodes)}>"

    def __enter__(self) -> CpuPlacement:
        pinned = pin(self._nodes, self._topology)
        home = home_of(pinned.placement.node_ids)
        self._open.enter((pinned, _core.set_home_node(home)))
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
        The node that was asked for; of several, the one with the lowest id.
    node_id : int
        The node whose CPUs are used; of several, the lowest.
    cpus : tuple[int, ...]
        The CPUs, ascending.
    memory_node : int or None
        The node that the calling thread, and threads that it starts, prefer for memory; of several,
        the lowest. None where the system let no policy be set.
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


def prefer_memory_of(topology: NumaTopology, nodes: list[int]) -> tuple[list[int], str]:
    """Prefer the memory of nodes, or of the nearest with memory, in the calling thread from now.

    Returns
    -------
    tuple
        The nodes that are preferred, none where that could not be said to the system, and why not.
    """
    usable = with_memory(topology, nodes)
    if not usable:
        return [], "this process may use the memory of no node"
    if not thread_cpus.INHERITED:
        return _memory_that_follows(usable, nodes)
    try:
        prefer(usable)
    except OSError as error:
        return [], str(error.strerror or error)
    return usable, ""


def with_memory(topology: NumaTopology, nodes: list[int]) -> list[int]:
    """Return the nodes whose memory may be used; the nearest such node where none of them has any.

    Nothing where this process may use the memory of no node.
    """
    usable = [one for one in nodes if one in topology.nearest(one)]
    return usable or list(topology._core.memory_order(nodes[0])[:1])


def _memory_that_follows(usable: list[int], nodes: list[int]) -> tuple[list[int], str]:
    """Windows: threads have no policy; pages come from the node that the thread runs on."""
    if usable == nodes:
        return nodes, ""
    without = next(one for one in nodes if one not in usable)
    why = f"Windows threads have no memory policy, and node {without} has no memory to be used"
    return [], why


def home_of(nodes: Sequence[int]) -> int:
    """Return what :func:`_core.set_home_node` takes for a thread that works for these nodes."""
    return nodes[0] if len(nodes) == 1 else HOME_OF_CPU


def bind_process(node: NodesLike | None, *, topology: NumaTopology | None = None) -> ProcessBinding:
    """Have every thread of this process run on the CPUs of a node, or of several, for good.

    All threads there are now are moved, and those that they start follow; the calling thread, and
    threads that it starts, also prefer the node's memory; numapool's allocations that name no node
    go to it in all threads. A second call binds anew. Child processes
    inherit the binding of the thread that starts them, and may bind themselves elsewhere: the
    environment variable ``NUMAPOOL_BOUND_CPUS`` tells them which CPUs they could use. On Windows,
    later threads follow by the process's default CPU sets (Windows 10), and child processes do not
    inherit it.

    Parameters
    ----------
    node : NodesLike or None
        The node; None, as of a device whose node is unknown, is that of the calling thread, with a
        warning. Where it has no CPUs that this process may use, the nearest that has. Of several
        nodes all the CPUs; their memory is preferred, and that of the CPU's node comes first.
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
    named = named_of("node", node)
    arguments.optional_instance("topology", topology, NumaTopology)
    topology = current_topology() if topology is None else topology
    wanted = [topology.node(one).node_id for one in named]
    own = threading.get_native_id()
    if thread_cpus.AVAILABLE:  # otherwise pin() reports what is missing
        _threads()
    pinned = pin(wanted, topology)
    placement = pinned.placement
    try:
        warn_of_other_node(placement)
    except Warning:
        unpin(pinned)
        raise
    memory_nodes, why_not = prefer_memory_of(topology, wanted)
    not_done = [] if memory_nodes else [f"memory policy of this thread: {why_not}"]
    _core.set_process_home_node(home_of(wanted))
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
        requested_node=wanted[0],
        node_id=placement.node_id,
        cpus=placement.cpus,
        memory_node=memory_nodes[0] if memory_nodes else None,
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

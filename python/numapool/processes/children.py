"""Child processes that start on a node: their CPUs and their memory, from the first page on."""

from __future__ import annotations

import os
import sys
from contextlib import ContextDecorator
from types import TracebackType

from numapool import _core
from numapool.base.units import ids_text
from numapool.base.warn_once import warn_once
from numapool.machine.node_set import NodesLike, named_of
from numapool.machine.topology import NumaTopology, current_topology, known_topology
from numapool.memory.memory_policy import prefer
from numapool.processes.binding import nodes_text, require_linux
from numapool.threads.affinity import CpuPlacement, Pinned, pin, unpin, warn_of_other_node
from numapool.threads.open_blocks import OpenBlocks
from numapool.threads.running import home_of, with_memory

_FORKSERVER = "multiprocessing.forkserver"
_MODES_OF_ONE_NODE = (
    _core.ThreadMode.PREFERRED,
    _core.ThreadMode.PREFERRED_MANY,
    _core.ThreadMode.BIND,
)


class _Entered:
    """How the calling thread leaves a block."""

    __slots__ = ("home", "pinned", "policy")

    def __init__(self, pinned: Pinned, policy: _core.SavedPolicy | None, home: int) -> None:
        self.pinned = pinned
        self.policy = policy
        self.home = home


class spawning_on(ContextDecorator):
    """What :class:`children_on` does, for who starts processes without a fork server."""

    def __init__(self, node: NodesLike | None) -> None:
        wanted = named_of("node", node)
        require_linux()
        self._topology = topology_with(wanted)
        self._nodes = wanted
        self._open: OpenBlocks[_Entered] = OpenBlocks()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {nodes_text(self._nodes)}>"

    def __enter__(self) -> CpuPlacement:
        pinned = pin(self._nodes, self._topology)
        policy, why_not = _prefer_memory_of(self._topology, self._nodes)
        self._open.enter(_Entered(pinned, policy, _core.set_home_node(home_of(self._nodes))))
        try:
            warn_of_other_node(pinned.placement, 3)
            if policy is None:
                on = pinned.placement.node_ids
                warn_once(
                    "children without a memory policy",
                    f"child processes run on the CPUs of {nodes_text(on)}, but do "
                    f"not prefer {'its' if len(on) == 1 else 'their'} memory: {why_not}",
                    3,
                )
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
        entered = self._open.leave(type(self).__name__)
        _core.set_home_node(entered.home)
        try:
            if entered.policy is not None:
                _core.restore_thread_policy(entered.policy)
        finally:
            unpin(entered.pinned)


class children_on(spawning_on):
    """Have child processes that the calling thread starts in a ``with`` block run on nodes.

    They start with the node's CPUs and prefer its memory, from their first page on: what a program
    loads, imports and allocates is on the node. A full node is no error: memory comes from the
    nearest with room then. Of several nodes they have all the CPUs, and prefer memory of any
    (before Linux 5.15, of the nearest).

    It makes no difference how they are started: :mod:`subprocess`, :mod:`multiprocessing` with the
    start methods ``spawn`` and ``fork``, :func:`os.fork`, or libraries that use these, such as loky
    and PyTorch's DataLoader. (A forked child shares its parent's pages until one of the two writes
    to them.)

    The calling thread has the CPUs and the policy itself until the block ends, so keep the block
    short. Threads that it starts inside keep both. Blocks may be nested; one object may be used
    again, from several threads too; it also decorates functions. Entering and leaving costs a few
    system calls.

    Parameters
    ----------
    node : NodesLike or None
        The node, or several; None, as of a device whose node is unknown, is that of the calling
        thread, with a warning. Where it has no CPUs that this process may use, the nearest node's
        are used, with a warning; the same goes for memory.

    Raises
    ------
    NodeNotFoundError
        The machine has no such node.
    UnsupportedError
        The platform has no way, or the system refuses sched_setaffinity(2).
    RuntimeError
        On entry: :mod:`multiprocessing` already has a fork server, whose children would start where
        that was started. On exit: from a thread that did not enter.

    Warns
    -----
    PlacementWarning
        Once per cause: the node has no CPUs to be used, the system refuses the memory policy, or
        the block started a fork server, which stays on the node.

    Examples
    --------
    >>> import subprocess
    >>> with children_on(0):
    ...     process = subprocess.Popen(["true"])
    >>> process.wait()
    0
    """

    def __enter__(self) -> CpuPlacement:
        if fork_server_runs():
            raise RuntimeError(
                "the fork server of multiprocessing is running already, and its children start "
                "where it was started, not on the node. Use the start method 'spawn' "
                "(multiprocessing.get_context('spawn')), or start the fork server inside the block"
            )
        return super().__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc, traceback)
        if fork_server_runs():
            warn_once(
                f"a fork server on {nodes_text(self._nodes)}",
                f"a fork server was started inside children_on({ids_text(self._nodes)}): processes "
                "that it starts later are there too, wherever they are asked for. Use the start "
                "method 'spawn' for children elsewhere",
            )


def topology_with(nodes: list[int]) -> NumaTopology:
    """Return the machine as last looked at; as it is now, if one of the nodes was not usable."""
    topology = known_topology()
    if not set(nodes) <= set(topology._core.usable()):
        topology = current_topology()
        for node in nodes:
            topology.node(node)
    return topology


def fork_server_runs() -> bool:
    """Whether multiprocessing has started its fork server in this process."""
    module = sys.modules.get(_FORKSERVER)
    server = getattr(module, "_forkserver", None)
    return getattr(server, "_forkserver_pid", None) is not None


def _prefer_memory_of(
    topology: NumaTopology, nodes: list[int]
) -> tuple[_core.SavedPolicy | None, str]:
    usable = with_memory(topology, nodes)
    if not usable:
        return None, "this process may use the memory of no node"
    try:
        return prefer(usable), ""
    except OSError as error:
        return None, str(error.strerror or error)


def bound_node() -> int | None:
    """Return the node that the calling thread is bound to, whoever bound it.

    Told by the system: the thread's CPUs all belong to one node, its memory policy prefers (or is
    bound to) one node, or both agree. So a child of :class:`children_on`, a program of
    ``numapool run``, ``numactl`` or ``torchrun`` finds out where it was put. Where a node lacks
    CPUs or memory, the nearest node's stand in for them.

    Returns
    -------
    int or None
        None where the thread may run on several nodes and prefers none, or where CPUs and memory
        are bound to different nodes.
    """
    topology = known_topology()
    by_cpus = _node_of_all_cpus(topology)
    by_memory = _node_of_policy(topology)
    if by_cpus is None or by_memory is None or by_cpus == by_memory:
        return by_memory if by_cpus is None else by_cpus
    if topology._core.memory_order(by_cpus)[:1] == (by_memory,):
        return by_cpus  # which has no memory to be used
    return None if topology.node(by_memory).cpu_cores else by_memory


def _node_of_all_cpus(topology: NumaTopology) -> int | None:
    if not hasattr(os, "sched_getaffinity"):
        return None
    with_cpus = [node for node in topology.nodes if node.cpu_cores]
    cpus = os.sched_getaffinity(0)
    fitting = [node.node_id for node in with_cpus if cpus <= set(node.cpu_cores)]
    return fitting[0] if fitting and len(with_cpus) > 1 else None


def _node_of_policy(topology: NumaTopology) -> int | None:
    try:
        policy = _core.thread_policy()
    except OSError:
        return None
    if policy.mode not in _MODES_OF_ONE_NODE or len(policy.nodes) != 1:
        return None
    known = {node.node_id for node in topology.nodes}
    return policy.nodes[0] if policy.nodes[0] in known else None

"""A pool of threads that run on a node and take their memory from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, SupportsIndex

from numapool import _core
from numapool.arrays.numpy_allocator import numpy_allocator
from numapool.base import arguments, renamed
from numapool.base.errors import NodeNotFoundError
from numapool.base.live_objects import Living
from numapool.base.units import ids_text
from numapool.base.warn_once import warn_once
from numapool.machine.node_set import NodesLike, named_of
from numapool.machine.topology import NumaTopology, current_topology
from numapool.memory.allocator import NumaAllocator
from numapool.pools.default_pool import IDLE_S
from numapool.pools.pool import BufferPool
from numapool.threads import thread_cpus
from numapool.threads.affinity import pin, unpin, warn_of_other_node
from numapool.threads.running import home_of, prefer_memory_of


class NodeExecutor(ThreadPoolExecutor):
    """An executor (:mod:`concurrent.futures`) whose threads run on the CPUs of a node.

    The threads also prefer the node's memory for whatever libraries allocate in them, numapool's
    allocations that name no node go to it, and the arrays that NumPy makes in them live on it, as
    by :class:`numpy_allocator`. A full node is no error: memory comes from the nearest then. Where
    the node has no CPUs that this process may use, the nearest node's are used, with a warning, and
    memory still comes from the node that was asked for.

    After a fork the child's executor starts threads of its own; futures of the parent's that were
    not done are never done in the child.

    Parameters
    ----------
    node : NodesLike or None
        The node to work on; None, as of a device whose node is unknown, is that of the calling
        thread, with a warning. With several nodes the threads run on all their CPUs, and memory is
        that of the node of a thread's CPU first, then of the other ones.
    max_workers : int, optional
        The most threads; by default one for each CPU to be used. They are started as work comes.
    thread_name_prefix : str
        Of the threads' names, ``numapool-node<N>`` by default.
    initializer : callable, optional
        Called in each thread once it is in its place, before its first work. If it raises, the
        executor is broken, as :class:`~concurrent.futures.ThreadPoolExecutor` is.
    initargs : tuple
        Arguments of `initializer`.
    topology : NumaTopology, optional
        The machine; detected now if not given.
    numpy_arrays : bool
        Whether NumPy's arrays are put on the node. With False the threads have NumPy's own
        allocator, whose new pages come from the node too, but which gives out whatever another
        thread freed before.
    pool : BufferPool, optional
        Where large NumPy arrays take their memory from; by default the one that
        :class:`numpy_allocator` shares.

    Raises
    ------
    NodeNotFoundError
        The machine has no such node.
    ValueError
        `max_workers` is less than 1; a pool that is closed, or given with ``numpy_arrays=False``.
    PoolExhaustedError
        The pool is at its ``max_bytes``.
    UnsupportedError
        The platform has no way to choose CPUs, or the system refuses sched_setaffinity(2).

    Warns
    -----
    PlacementWarning
        Once per node that has no CPUs to be used; once where the system lets no memory policy be
        set, so that memory of other libraries comes from the node of the CPUs.
    """

    @renamed.parameters(workers="max_workers")
    def __init__(
        self,
        node: NodesLike | None,
        max_workers: SupportsIndex | None = None,
        *,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        topology: NumaTopology | None = None,
        numpy_arrays: bool = True,
        pool: BufferPool | None = None,
    ) -> None:
        if initializer is not None:
            arguments.function("initializer", initializer)
        arguments.text("thread_name_prefix", thread_name_prefix)
        initargs = tuple(arguments.items("initargs", initargs, "a tuple"))
        arguments.optional_instance("pool", pool, BufferPool)
        if not arguments.flag("numpy_arrays", numpy_arrays) and pool is not None:
            raise ValueError(
                "pool must be None with numpy_arrays=False, for it is for NumPy's arrays, not a "
                "BufferPool"
            )
        count = None if max_workers is None else arguments.at_least("max_workers", max_workers, 1)
        given = arguments.optional_instance("topology", topology, NumaTopology)
        topology = current_topology() if given is None else given
        wanted = [topology.node(one).node_id for one in named_of("node", node, 4)]
        # Tried out in this thread, so that a refusal is known before there is work.
        pinned = pin(wanted, topology)
        unpin(pinned)
        self._placement = pinned.placement
        warn_of_other_node(self._placement, 2 + renamed.FRAMES)
        self._memory_nodes = _try_memory_of(topology, wanted)
        self._numpy_allocator = (
            _numpy_on(self._memory_nodes, given, pool)
            if numpy_arrays and self._memory_nodes
            else None
        )
        self._most_workers = len(self._placement.cpus) if count is None else count
        self._is_shut_down = False
        self._thread_name = thread_name_prefix or f"numapool-node{ids_text(wanted)}"
        self._settle = _Settle(
            topology,
            wanted,
            pinned.base,
            bool(self._memory_nodes),
            self._numpy_allocator,
            initializer,
            initargs,
        )
        self._open()
        _executors.add(self)

    def _open(self) -> None:
        super().__init__(self._most_workers, self._thread_name, self._settle)

    def _open_in_child(self) -> None:
        """Begin anew after a fork, of which no thread but the caller's is left."""
        self._open()
        if self._is_shut_down:
            super().shutdown(wait=False)

    @property
    def requested_node(self) -> int:
        """The node that was asked for; of several, the one with the lowest id."""
        return self._placement.requested_node

    @property
    def node_id(self) -> int:
        """The node whose CPUs the threads run on; of several, the one with the lowest id."""
        return self._placement.node_id

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs that the threads run on, ascending; what the cpuset left when it was made."""
        return self._placement.cpus

    @property
    def memory_node(self) -> int | None:
        """The node whose memory the threads prefer; of several, the one with the lowest id.

        None where the system let no policy be set.
        """
        return self._memory_nodes[0] if self._memory_nodes else None

    @property
    def numpy_allocator(self) -> numpy_allocator | None:
        """What puts NumPy's arrays of the threads on the node: its pool can be trimmed or watched.

        None where it was not wanted, where NumPy cannot be imported, and where there is no
        `memory_node`.
        """
        return self._numpy_allocator

    @property
    def max_workers(self) -> int:
        """The most threads there will be."""
        return self._most_workers

    workers = renamed.attribute("NodeExecutor", "workers", "max_workers")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more work, and end the threads once the accepted work is done.

        Parameters
        ----------
        wait : bool
            Return only when all work is done and the threads have ended.
        cancel_futures : bool
            Cancel the work that has not begun.
        """
        self._is_shut_down = True
        super().shutdown(wait=wait, cancel_futures=cancel_futures)

    def __repr__(self) -> str:
        shut = ", shut down" if self._is_shut_down else ""
        return (
            f"<NodeExecutor node {ids_text(self._settle.nodes)}: CPUs {list(self.cpus)}, "
            f"{self.max_workers} workers{shut}>"
        )


class _Settle:
    """Brings a new thread to its place. It knows nothing of the executor, which may be dropped."""

    def __init__(
        self,
        topology: NumaTopology,
        nodes: list[int],
        base: frozenset[int],
        prefers_memory: bool,
        numpy_memory: numpy_allocator | None,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
    ) -> None:
        self._topology = topology
        self.nodes = nodes
        self._base = base
        self._prefers_memory = prefers_memory
        self._numpy_memory = numpy_memory
        self._initializer = initializer
        self._initargs = initargs

    def __call__(self) -> None:
        try:
            pin(self.nodes, self._topology, self._base)
        except OSError:  # the cpuset has other CPUs by now
            pin(self.nodes, self._topology)
        if self._prefers_memory:
            prefer_memory_of(self._topology, self.nodes)
        _core.set_home_node(home_of(self.nodes))
        if self._numpy_memory is not None:
            self._numpy_memory.initializer()
        if self._initializer is not None:
            self._initializer(*self._initargs)


def _try_memory_of(topology: NumaTopology, nodes: list[int]) -> list[int]:
    """Return the nodes whose memory threads can be made to prefer; none of them with a warning."""
    memory_nodes: list[int]
    try:
        before = (
            _core.set_thread_policy(_core.ThreadMode.LOCAL, []) if thread_cpus.INHERITED else None
        )
    except OSError as error:
        memory_nodes, why_not = [], str(error.strerror or error)
    else:
        try:
            memory_nodes, why_not = prefer_memory_of(topology, nodes)
        finally:
            if before is not None:
                _core.restore_thread_policy(before)
    if not memory_nodes and topology.multi_node:
        warn_once(
            "no thread policy",
            f"threads cannot be made to prefer the memory of node {ids_text(nodes)}: {why_not}; "
            "memory that names no node comes from that of their CPUs (said once)",
            stacklevel=3 + renamed.FRAMES,
        )
    return memory_nodes


def _numpy_on(
    nodes: list[int], given: NumaTopology | None, pool: BufferPool | None
) -> numpy_allocator | None:
    """Return what puts NumPy's arrays on the nodes; None where there is no NumPy to do so."""
    try:
        import numpy  # noqa: F401
    except ImportError:
        return None
    try:
        return numpy_allocator(nodes, pool)
    except NodeNotFoundError:
        if pool is not None or given is None:
            raise
    # The pool that all share is of the running machine, and `given` of another one.
    return numpy_allocator(nodes, BufferPool(NumaAllocator(given), idle_s=IDLE_S))


_executors: Living[NodeExecutor] = Living()


def _after_fork_in_child() -> None:
    for executor in _executors.all():
        executor._open_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork_in_child)

"""A pool of processes on several nodes, behind the interface of concurrent.futures."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing.context import BaseContext
from typing import Any, SupportsIndex, TypeVar

from numapool import _core
from numapool.base import arguments
from numapool.base.units import ids_text
from numapool.machine.device_search import device_node
from numapool.machine.node_set import NodesLike, nodes_of, wanted_of
from numapool.machine.topology import current_topology
from numapool.memory.object_memory import placement_of
from numapool.processes.children import spawning_on

T = TypeVar("T")


class NodeProcessPool(Executor):
    """An executor (:mod:`concurrent.futures`) over processes on nodes.

    Each node has worker processes of its own, which start on the node's CPUs and prefer its memory
    (:class:`children_on`). Work goes to the node that you name, to the node of the data that it is
    about, or to the node with the least work. A :class:`SharedNodeBuffer` among the arguments
    travels by handle: the worker maps the same memory.

    Parameters
    ----------
    nodes : NodesLike, optional
        The nodes; by default those with CPUs that this process may use.
    workers_per_node : int
        The most processes of each node. They are started as work comes.
    mp_context : multiprocessing context, optional
        By default that of the start method ``spawn``, whose processes have no page of this one.
        With ``fork``, they share this process's pages until one of the two writes to them. The
        start method ``forkserver`` is refused: its children start where the server was started.
    initializer : callable, optional
        Called in each worker before its first work. If it raises, the node's workers are broken, as
        those of :class:`~concurrent.futures.ProcessPoolExecutor` are.
    initargs : tuple
        Arguments of `initializer`.

    Raises
    ------
    NodeNotFoundError
        The machine has no such node.
    UnsupportedError
        The platform has no way to place processes.
    ValueError
        `nodes` is empty, or the context is that of ``forkserver``.
    """

    def __init__(
        self,
        nodes: NodesLike | None = None,
        workers_per_node: SupportsIndex = 1,
        *,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        workers = arguments.at_least("workers_per_node", workers_per_node, 1)
        context = multiprocessing.get_context("spawn") if mp_context is None else mp_context
        if context.get_start_method() == "forkserver":
            raise ValueError(
                "mp_context must not be that of 'forkserver': its children start where the fork "
                "server was started, not on their nodes. Use 'spawn'"
            )
        if nodes is None:
            wanted = [node.node_id for node in current_topology().nodes if node.cpu_cores]
        else:
            wanted = nodes_of("nodes", nodes)
        if not wanted:
            raise ValueError("nodes must name at least one node")
        self._blocks = {node: spawning_on(node) for node in wanted}
        self._executors = {
            node: ProcessPoolExecutor(
                workers, mp_context=context, initializer=initializer, initargs=initargs
            )
            for node in wanted
        }
        # Of each node. Threads add and discard without a lock: each of the two is one step.
        self._undone: dict[int, set[Future[Any]]] = {node: set() for node in wanted}

    def __repr__(self) -> str:
        return f"<NodeProcessPool nodes={list(self._executors)}>"

    @property
    def nodes(self) -> tuple[int, ...]:
        """The nodes that the workers are on."""
        return tuple(self._executors)

    def submit(  # type: ignore[override]
        self,
        fn: Callable[..., T],
        /,
        *args: Any,
        node: NodesLike | None = None,
        **kwargs: Any,
    ) -> Future[T]:
        """Have a worker call ``fn(*args, **kwargs)``, and return a future of the result.

        Parameters
        ----------
        fn : callable
            Sent to the worker by pickle, like the arguments.
        node : NodesLike, optional
            The node whose worker is to do it; by default that with the least work. Of several
            nodes, that with the least work among those that the pool has workers on. A function
            that has a parameter `node` itself gets it by :func:`functools.partial`.

        Raises
        ------
        ValueError
            The pool has no workers on the node, or on any of several.
        RuntimeError
            The pool is shut down.
        """
        chosen = self._least_busy(wanted_of("node", node))
        with self._blocks[chosen]:  # a worker may be started
            future = self._executors[chosen].submit(fn, *args, **kwargs)
        self._undone[chosen].add(future)
        future.add_done_callback(self._undone[chosen].discard)
        return future

    def submit_near(
        self, data: object, fn: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> Future[T]:
        """Have a worker near some data call ``fn(*args, **kwargs)``.

        Parameters
        ----------
        data : buffer, array, str or path-like
            Memory, as :func:`placement_of` takes it: the node that holds most of it. Or the path of
            a file or device, as :func:`device_node` takes it. It is not passed to `fn`. If the pool
            has no workers on that node, or it is unknown, the nearest node does it, or that with
            the least work.
        fn : callable

        Raises
        ------
        TypeError
            `data` is neither.
        OSError
            The file or device does not exist.
        """
        return self.submit(fn, *args, node=self._near(_node_of(data)), **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers once they have done their work.

        Parameters
        ----------
        wait : bool
            Return when all have ended.
        cancel_futures : bool
            Cancel the work that no worker has begun.
        """
        for executor in self._executors.values():
            executor.shutdown(wait=False, cancel_futures=cancel_futures)
        if wait:
            for executor in self._executors.values():
                executor.shutdown(wait=True)

    def _least_busy(self, wanted: Collection[int] = ()) -> int:
        """Return the node with the least work, of those that are wanted, or else of all."""
        here = [node for node in self._undone if node in wanted] if wanted else self._undone
        if not here:
            raise ValueError(
                f"node must be one of the pool's nodes {list(self._executors)}, "
                f"not {ids_text(wanted)}"
            )
        return min(here, key=lambda node: len(self._undone[node]))

    def _near(self, node: int | None) -> int | None:
        if node is None or node in self._executors:
            return node
        topology = current_topology()
        return min(self._executors, key=lambda one: (topology.distance(node, one), one))


def _node_of(data: object) -> int | None:
    if isinstance(data, str | os.PathLike):
        return device_node(data)
    if isinstance(data, _core.NodeBuffer):
        return data.node_id
    found = placement_of(data).bytes_by_node
    return max(found, key=lambda node: found[node]) if found else None

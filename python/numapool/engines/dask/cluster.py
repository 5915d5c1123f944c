"""A Dask cluster on this machine with a worker on each node."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, SupportsIndex

import psutil
from distributed import Scheduler
from distributed.deploy.spec import SpecCluster
from distributed.deploy.subprocess import SubprocessWorker
from distributed.system import MEMORY_LIMIT

from numapool.base import arguments
from numapool.engines.dask.places import Place, Places, memory_by_node
from numapool.machine.node_set import NodesLike, nodes_of
from numapool.machine.topology import current_topology
from numapool.processes.binding import cpus_near, nodes_with_cpus, require_linux

_HOST = "127.0.0.1"
_PRELOAD = "numapool.engines.dask"
_NANNY, _WORKER = "distributed.Nanny", "distributed.Worker"
_CLOSE_S = 5.0


class NodeWorker(SubprocessWorker):  # type: ignore[misc]  # distributed has no types for users
    """A worker of a :class:`NodeCluster`: a process that ``numapool run`` starts on a node."""

    process: Any  # an asyncio.subprocess.Process, or None

    def __init__(
        self,
        scheduler: str,
        name: str,
        place: Place,
        worker_class: str,
        worker_kwargs: Mapping[str, Any],
    ) -> None:
        options = {
            "name": name,
            "host": _HOST,
            "nthreads": place.nthreads,
            "memory_limit": place.memory_limit,
            "silence_logs": logging.WARNING,
            **worker_kwargs,
        }
        options["resources"] = {
            f"node{place.node}": options["nthreads"],
            **(worker_kwargs.get("resources") or {}),
        }
        given = worker_kwargs.get("preload") or []
        options["preload"] = [*([given] if isinstance(given, str) else given), _PRELOAD]
        super().__init__(
            scheduler=scheduler, worker_class=worker_class, name=name, worker_kwargs=options
        )
        self.node = place.node

    async def _start(self) -> None:
        spec = {"cls": self.worker_class, "opts": self.worker_kwargs}
        # -P: the program's folder may contain unrelated folders named numapool or dask.
        python = [sys.executable, "-P", "-m"]
        self.process = await asyncio.create_subprocess_exec(
            *(*python, "numapool", "run", "--node", str(self.node), "--"),
            *(*python, "dask", "spec", self.scheduler, "--spec", json.dumps(spec)),
            env={**os.environ, "NUMAPOOL_NODE": str(self.node)},
        )

    async def close(self) -> None:
        """End the process: it may close its worker and remove its files, then it is killed."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError, asyncio.TimeoutError):
                self.process.send_signal(signal.SIGTERM)
                await asyncio.wait_for(self.process.wait(), _CLOSE_S)
        try:
            await super().close()
        except (ProcessLookupError, psutil.NoSuchProcess):
            # It has just ended: its status comes with a later turn of the event loop.
            self.process = None
            await super().close()


class NodeCluster(SpecCluster):  # type: ignore[misc]
    """A Dask cluster with a worker on each node of this machine.

    Each worker is a process that is bound to its node before its interpreter starts: its threads
    run on the node's CPUs, and its memory comes from the node first, from the first page on. A
    worker that is restarted is on its node again. Each has a :class:`NodePlugin`.

    A worker has one thread for each CPU of the node, a part of the node's memory as its limit, and
    the resource ``node<N>``, one unit for each thread: ``client.submit(f, resources={"node1": 1})``
    runs on node 1.

    Parameters
    ----------
    nodes : NodesLike, optional
        The nodes; by default those with CPUs that this process may use.
    memory_share : float
        The part of a node's memory that its workers may use together, up to 1. If the cgroup of
        this process has less memory than the nodes have together, each node's part is smaller by
        as much.
    workers_per_node : int
        Workers on each node, which share its CPUs and memory limit.
    nanny : bool
        Whether each worker has a nanny process, which starts it again when it ends.
    worker_kwargs : mapping, optional
        Options of :class:`distributed.Nanny` (or :class:`distributed.Worker`), such as
        ``{"local_directory": "/scratch"}``, fit for JSON. They come before the cluster's own.
    scheduler_kwargs : mapping, optional
        Options of :class:`distributed.Scheduler`, which runs in this process.
    **options
        Options of :class:`distributed.SpecCluster`, such as ``asynchronous``.

    Raises
    ------
    NodeNotFoundError
        The machine has no such node.
    UnsupportedError
        The platform has no way to place processes.
    ValueError
        There is no node, or a number is out of its range.
    TypeError
        `worker_kwargs` are not fit for JSON.
    """

    def __init__(
        self,
        nodes: NodesLike | None = None,
        *,
        memory_share: float = 0.8,
        workers_per_node: SupportsIndex = 1,
        nanny: bool = True,
        worker_kwargs: Mapping[str, Any] | None = None,
        scheduler_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        require_linux()
        wanted = nodes_with_cpus() if nodes is None else nodes_of("nodes", nodes)
        if not wanted:
            raise ValueError("nodes must name at least one node")
        share = arguments.real("memory_share", memory_share, "a number")
        if not 0 < share <= 1:
            raise ValueError(arguments.must_be("memory_share", "more than 0 and at most 1", share))
        each = arguments.at_least("workers_per_node", workers_per_node, 1)
        self._worker_class = _NANNY if arguments.flag("nanny", nanny) else _WORKER
        self._worker_kwargs = _fit_for_json("worker_kwargs", worker_kwargs)
        memory = memory_by_node(wanted, current_topology(), int(MEMORY_LIMIT))
        places = [
            Place(node, max(1, len(cpus_near(node)) // each), int(memory[node] * share) // each)
            for node in wanted
        ]
        self._places = Places(places, each)
        workers: dict[str, dict[str, Any]] = {}
        while len(workers) < len(self._places):
            workers.update(self._spec_next_to(workers))
        super().__init__(
            workers=workers,
            scheduler={
                "cls": Scheduler,
                "options": {"host": _HOST, "port": 0, **(scheduler_kwargs or {})},
            },
            worker=next(iter(workers.values())),
            **{"name": "NodeCluster", "silence_logs": logging.WARNING, **options},
        )

    @property
    def nodes(self) -> tuple[int, ...]:
        """The nodes that workers may be on."""
        return self._places.nodes

    def new_worker_spec(self) -> dict[str, dict[str, Any]]:
        """Return the name and description of the next worker, on a node with the fewest."""
        return self._spec_next_to(self.worker_spec)

    def _spec_next_to(self, taken: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        name, place = self._places.next_to(taken)
        options = {
            "name": name,
            "place": place,
            "worker_class": self._worker_class,
            "worker_kwargs": self._worker_kwargs,
        }
        return {name: {"cls": NodeWorker, "options": options}}

    def scale(
        self,
        n: SupportsIndex = 0,
        memory: arguments.SizeLike | None = None,
        cores: SupportsIndex | None = None,
    ) -> Any:
        """Start or end workers, until there are `n`.

        Parameters
        ----------
        n : int
            At most one for each node, or `workers_per_node`.
        memory, cores : optional
            As many workers as have so many bytes and threads together, if they are more than `n`.

        Raises
        ------
        ValueError
            There are not so many places.
        """
        most = len(self._places)
        wanted = arguments.at_least("n", n, 0)
        if wanted > most:
            raise ValueError(
                f"n must be at most {most}, not {wanted}: {self._places.per_node} on each of the "
                f"nodes {list(self.nodes)}. For more, give NodeCluster more workers_per_node"
            )
        enough = self._places.enough(
            0 if memory is None else arguments.size("memory", memory),
            0 if cores is None else arguments.integer("cores", cores),
        )
        return super().scale(max(wanted, enough))

    def adapt(self, **options: Any) -> Any:
        """Scale by the load, as :meth:`distributed.SpecCluster.adapt`, up to all places."""
        options["maximum"] = min(options.get("maximum", math.inf), len(self._places))
        return super().adapt(**options)


def _fit_for_json(name: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    given = dict(options or {})
    try:
        json.dumps(given)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be fit for JSON, by which workers get it: {error}") from None
    return given

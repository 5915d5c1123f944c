"""What numapool does in a Dask worker: receive buffers, spilling under pressure, metrics."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

from numapool.base import arguments, logs
from numapool.base.errors import UnsupportedError
from numapool.base.units import size_text
from numapool.engines.dask.receive import ReceiveBuffers
from numapool.machine.node_set import NodeSet, NodesLike, wanted_of
from numapool.machine.topology import known_topology
from numapool.metrics.collector import MetricsCollector
from numapool.pools.pool import BufferPool
from numapool.pressure.monitor import PressureMonitor
from numapool.pressure.policy import PressureEvent, PressureLevel, PressurePolicy
from numapool.processes.children import bound_node

_MIB = 1 << 20
# Of the worker's memory limit: Dask spills from 70 % of it down to 60 %, by what the process holds.
_RETAINED_SHARE = 20
_YIELD_S = 0.5  # as Dask's own spilling does

_log = logs.logger("dask")


class NodePlugin(WorkerPlugin):  # type: ignore[misc]  # distributed has no types for users
    """A worker plugin that keeps a Dask worker's data on its node, and answers memory pressure.

    - Data of 1 MiB and more that other workers or clients send is received into a pool on the node,
      and its memory is used again.
    - When the machine, the cgroup or the node runs out of memory, the pool is trimmed, and then
      data is spilled to disk, as many bytes as are missing: before Dask's own limits, which know
      of this process only.
    - Where prometheus_client is installed, the worker's ``/metrics`` has numapool's metrics too.

    What the machine or this version of Dask lacks is left out with a warning; a worker never fails
    for it. Register it by ``client.register_plugin``, or start workers with
    ``--preload numapool.engines.dask``; the workers of :class:`NodeCluster` have it.

    Parameters
    ----------
    node : NodesLike, optional
        The node, or several; by default the one that the worker is bound to.
    least_bytes : int or str
        Smaller data is received as without the plugin.
    retain_bytes : int or str, optional
        The most memory to keep for data to come; by default 5 % of the worker's memory limit.
    policy : PressurePolicy, optional
        When there is pressure, and how much is asked for.
    """

    name = "numapool"

    def __init__(
        self,
        node: NodesLike | None = None,
        *,
        least_bytes: arguments.SizeLike = _MIB,
        retain_bytes: arguments.SizeLike | None = None,
        policy: PressurePolicy | None = None,
    ) -> None:
        self._asked = node
        self._least_bytes = arguments.size_at_least("least_bytes", least_bytes, 0)
        self._retain_bytes = (
            None
            if retain_bytes is None
            else arguments.size_at_least("retain_bytes", retain_bytes, 0)
        )
        self._policy = arguments.optional_instance("policy", policy, PressurePolicy)
        self._undo: list[Callable[[], object]] = []

    # Only in a plugin that is at work; it is not pickled.
    worker: Any = None
    #: The worker's nodes, ascending; empty where it is bound to none.
    node_ids: tuple[int, ...] = ()
    #: Where received data is.
    pool: BufferPool | None = None
    #: Who watches the memory; None where nothing tells of pressure.
    monitor: PressureMonitor | None = None
    #: Bytes that were spilled because a monitor asked.
    spilled_bytes: int = 0
    _spilling = False

    def setup(self, worker: Any) -> None:
        """Begin; Dask calls it when the plugin is added to a worker."""
        self.worker = worker
        if self._asked is not None:
            self.node_ids = tuple(wanted_of("node", self._asked))
        elif (here := node_here()) is not None:
            self.node_ids = (here,)
        self.pool = BufferPool(retain_bytes=self._retained(worker), name="dask")
        self._undo.append(self.pool.close)
        near = NodeSet(self.node_ids) if self.node_ids else None
        buffers = ReceiveBuffers(self.pool, near, self._least_bytes)
        if buffers.install():
            self._undo.append(buffers.remove)
        self._watch(self.pool)
        self._tell()

    @property
    def node_id(self) -> int | None:
        """The worker's node, of several the one with the lowest id; None if it is bound to none."""
        return self.node_ids[0] if self.node_ids else None

    def teardown(self, worker: Any) -> None:
        """End; received data stays valid."""
        while self._undo:
            self._undo.pop()()
        self.worker = None

    def _retained(self, worker: Any) -> int | None:
        if self._retain_bytes is not None:
            return self._retain_bytes
        limit = getattr(worker.memory_manager, "memory_limit", None)
        return limit // _RETAINED_SHARE if limit else None

    def _watch(self, pool: BufferPool) -> None:
        monitor = PressureMonitor(self._policy)
        try:
            monitor.start()
        except OSError as error:
            _log.warning("the worker does not spill when the machine runs short: %s", error)
            return
        self._undo.append(monitor.close)
        monitor.attach(pool)
        monitor.subscribe(self._answer)
        self.monitor = monitor

    def _tell(self) -> None:
        try:
            collector = MetricsCollector(monitor=self.monitor)
        except UnsupportedError:
            return
        from prometheus_client import REGISTRY

        try:
            REGISTRY.register(collector)
        except ValueError as error:  # somebody has registered one
            _log.info("the worker's metrics stay as they are: %s", error)
            return
        self._undo.append(lambda: REGISTRY.unregister(collector))

    def _answer(self, event: PressureEvent) -> None:
        """Pass an event on to the worker's event loop: only there may data be spilled."""
        wanted = self._share_of(event)
        worker = self.worker
        if wanted and worker is not None:
            worker.loop.add_callback(self._spill, wanted)

    def _share_of(self, event: PressureEvent) -> int:
        """Return what this worker should release, while those on other nodes do the same."""
        if event.level is PressureLevel.NONE:
            return 0
        if event.node_id is not None:
            here = not self.node_ids or event.node_id in self.node_ids
            return event.bytes_to_release if here else 0
        with_cpus = [node.node_id for node in known_topology().nodes if node.cpu_cores]
        if not self.node_ids or not with_cpus:
            return event.bytes_to_release
        mine = max(1, sum(node in self.node_ids for node in with_cpus))
        return -(-event.bytes_to_release * mine // len(with_cpus))

    async def _spill(self, wanted: int) -> None:
        """Spill data until `wanted` bytes are free, and give the system the pool's part of them."""
        data: Any = getattr(self.worker, "data", None)
        if self._spilling or not hasattr(data, "evict") or not hasattr(data, "fast"):
            return  # a later event asks again; a worker without a limit has nowhere to spill to
        self._spilling = True
        try:
            spilled, rested = 0, time.monotonic()
            while spilled < wanted and data.fast:
                weight = data.evict()
                if weight < 0:  # the disk is full, or the data cannot be pickled: Dask has told it
                    break
                spilled += weight
                if time.monotonic() - rested > _YIELD_S:
                    await asyncio.sleep(0)
                    rested = time.monotonic()
        finally:
            self._spilling = False
        self.spilled_bytes += spilled
        if spilled and self.pool is not None and not self.pool.closed:
            self.pool.trim(spilled)
            _log.info("spilled %s of data; memory is short", size_text(spilled))

    def __getstate__(self) -> dict[str, object]:
        """Leave out what belongs to a worker."""
        kept = ("_asked", "_least_bytes", "_retain_bytes", "_policy")
        return {**{name: self.__dict__[name] for name in kept}, "_undo": []}


def node_here() -> int | None:
    """Return the node that this process is bound to, or that its launcher told; else None."""
    found = bound_node()
    if found is not None:
        return found
    told = os.environ.get("NUMAPOOL_NODE", "")
    known = [node.node_id for node in known_topology().nodes]
    if told.isascii() and told.isdecimal() and int(told) in known:
        return int(told)
    return known[0] if len(known) == 1 else None

"""Dask on nodes: clusters, workers and what shows where they are.

As a preload (``dask worker --preload numapool.engines.dask``) it adds a :class:`NodePlugin` to the
worker.
"""

from __future__ import annotations

from typing import Any

from numapool.engines.dask.cluster import NodeCluster
from numapool.engines.dask.plugin import NodePlugin
from numapool.engines.dask.workers import WorkerPlacement, placement

__all__ = ["NodeCluster", "NodePlugin", "WorkerPlacement", "placement"]


async def dask_setup(worker: Any) -> None:
    """Add the plugin to a worker that has none yet; Dask calls this for a preload."""
    if NodePlugin.name not in getattr(worker, "plugins", {NodePlugin.name}):
        await worker.plugin_add(NodePlugin())

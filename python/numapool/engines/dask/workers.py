"""Where the pages of a Dask cluster's workers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numapool.engines.dask.plugin import NodePlugin, node_here
from numapool.processes.inspect import process_placement

_SHARED = "file"  # libraries, which processes on all nodes use


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerPlacement:
    """Where a Dask worker's own pages are.

    Attributes
    ----------
    name : str
        The worker's name.
    pid : int
        Its process.
    node_id : int or None
        The node that it belongs to; None where it is bound to none.
    bytes_by_node : dict[int, int]
        Resident bytes on each node that holds any; pages of mapped files are left out.
    """

    name: str
    pid: int
    node_id: int | None
    bytes_by_node: dict[int, int]

    @property
    def share(self) -> float | None:
        """The share of the pages that are on the worker's node; None where it has no node."""
        total = sum(self.bytes_by_node.values())
        if self.node_id is None or not total:
            return None
        return self.bytes_by_node.get(self.node_id, 0) / total


def placement(client: Any) -> Any:
    """Return where the pages of each worker of a cluster are.

    Parameters
    ----------
    client : distributed.Client
        A client of the cluster. The workers need numapool too.

    Returns
    -------
    dict of str to WorkerPlacement
        By the address of the worker. From an asynchronous client, an awaitable of it.
    """
    return client.run(_here)


def _here(dask_worker: Any) -> WorkerPlacement:
    """Look at the worker that this runs in."""
    plugin = dask_worker.plugins.get(NodePlugin.name)
    seen = process_placement()
    by_node: dict[int, int] = {}
    for use, found in seen.bytes_by_use.items():
        for node, count in found.items() if use != _SHARED else ():
            by_node[node] = by_node.get(node, 0) + count
    return WorkerPlacement(
        name=str(dask_worker.name),
        pid=seen.pid,
        node_id=node_here() if plugin is None else plugin.node_id,
        bytes_by_node=dict(sorted(by_node.items())),
    )

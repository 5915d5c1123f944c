"""Ray on nodes: actors and tasks whose workers start on a node, and a resource for each node.

Ray is not imported: it gets text and numbers.
"""

from __future__ import annotations

import shlex
import sys
from typing import Any

from numapool.base import arguments
from numapool.base.units import ids_text
from numapool.machine.node_set import NodesLike, named_of
from numapool.processes.binding import cpus_near, existing, nodes_with_cpus, require_linux

__all__ = ["node_resources", "node_runtime_env"]


def node_runtime_env(node: NodesLike | None, **fields: Any) -> dict[str, Any]:
    """Return a ``runtime_env`` for Ray, whose workers start on a node, or on several.

    A worker's interpreter is started by ``numapool run``: it has the node's CPUs and prefers its
    memory from the first page on. Ray keeps workers of different environments apart, so a worker
    is never used for another node.

    Parameters
    ----------
    node : NodesLike or None
        The node; None is that of the calling thread, with a warning. Of several nodes a worker has
        all the CPUs, and prefers memory of any. Words are looked up here, and their ids where the
        worker starts. Where the machines of a cluster have different nodes, give ids that all of
        them have.
    **fields
        Other fields of the environment, such as ``env_vars={"OMP_NUM_THREADS": "8"}``.

    Raises
    ------
    NodeNotFoundError
        This machine has no such node.
    UnsupportedError
        The platform has no way to place processes.
    ValueError
        `fields` has a ``py_executable``: this sets it.

    Examples
    --------
    >>> sorted(node_runtime_env(0, working_dir="/srv"))
    ['env_vars', 'py_executable', 'working_dir']
    """
    require_linux()
    wanted = ids_text(existing(named_of("node", node)))
    if "py_executable" in fields:
        raise ValueError("fields must not have py_executable: it is what starts workers on a node")
    # -P: the worker's folder may contain an unrelated folder named numapool.
    run = [sys.executable, "-P", "-m", "numapool", "run", "--node", wanted, "--"]
    return {
        **fields,
        "py_executable": shlex.join([*run, sys.executable]),
        "env_vars": {"NUMAPOOL_NODE": wanted, **(fields.get("env_vars") or {})},
    }


def node_resources(prefix: str = "node") -> dict[str, int]:
    """Return a resource for each node with CPUs of this machine, with one unit for each CPU.

    For ``ray.init(resources=node_resources())``, or ``ray start --resources`` as JSON. An actor
    that asks for ``resources={"node1": 1}`` runs on a machine that has such a node.

    Parameters
    ----------
    prefix : str
        What the names begin with.
    """
    name = arguments.text("prefix", prefix)
    return {f"{name}{node}": len(cpus_near(node)) for node in nodes_with_cpus()}

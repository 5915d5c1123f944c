"""The memory policy of the calling thread, for memory that other libraries allocate."""

from __future__ import annotations

import errno
import threading
from types import TracebackType
from typing import Literal

from numapool import _core
from numapool.base import arguments
from numapool.base.errors import no_such_node
from numapool.base.units import ids_text
from numapool.machine.node_set import NodesLike, named_of, node_here
from numapool.machine.topology import current_topology

PolicyMode = Literal["preferred", "interleave", "local"]
_MODES = ("preferred", "interleave", "local")


class memory_policy:
    """Set the calling thread's memory policy in a ``with`` block, and restore the former one.

    Memory that any library of this process allocates and first touches from this thread inside the
    block follows the policy (set_mempolicy(2)). Pages that are there already do not move, and other
    threads, threads started inside included once they set their own, are not concerned.

    Parameters
    ----------
    node : NodesLike, optional
        The node or nodes for ``"preferred"`` and ``"interleave"``; nothing for ``"local"``. To
        prefer None, as of a device whose node is unknown, is to prefer the calling thread's node,
        with a warning. Of
        several nodes that are preferred, a page comes from the nearest to the CPU that touches it
        (MPOL_PREFERRED_MANY). Linux before 5.15 prefers one: the one nearest to the thread as it
        enters.
    mode : "preferred", "interleave" or "local"
        ``"preferred"`` falls back to other nodes when its nodes are full: no strict mode is
        offered, because under one the kernel kills the process when a node fills.

    Raises
    ------
    ValueError
        `mode` is unknown, or does not go with these nodes.
    NodeNotFoundError
        The machine has no such node.
    UnsupportedError
        On entry: the system refuses set_mempolicy(2), as container profiles do.
    OSError
        On entry: any other refusal, such as a node that this process is not allowed.
    RuntimeError
        On exit from another thread than the one that entered.
    """

    def __init__(
        self,
        node: NodesLike | None = None,
        mode: PolicyMode = "preferred",
    ) -> None:
        arguments.choice("mode", mode, _MODES)
        nodes = [] if node is None and mode != "preferred" else named_of("node", node)
        if mode == "local" and nodes:
            raise ValueError(
                "node must be None for mode='local', which is the node of the CPU that touches the "
                f"memory, not {nodes}"
            )
        if mode == "interleave" and not nodes:
            raise ValueError("node must be at least one node for mode='interleave', not none")
        exist = [known.node_id for known in current_topology().nodes]
        for one in nodes:
            if one not in exist:
                raise no_such_node(one, exist)
        self._mode = mode
        self._nodes = nodes
        self._entered: list[tuple[int, _core.SavedPolicy]] = []

    def __repr__(self) -> str:
        where = ", ".join(map(str, self._nodes)) or "the thread's own node"
        return f"<memory_policy {self._mode}: {where}>"

    def __enter__(self) -> memory_policy:
        try:
            if self._mode == "preferred":
                saved = prefer(self._nodes)
            else:
                saved = _core.set_thread_policy(_core.ThreadMode[self._mode.upper()], self._nodes)
        except OSError as error:
            raise self._explained(error) from None
        self._entered.append((threading.get_ident(), saved))
        return self

    def _explained(self, error: OSError) -> OSError:
        """Name the node that this process may not use, where that is why the kernel says EINVAL."""
        if error.errno != errno.EINVAL or not self._nodes:
            return error
        topology = current_topology()
        usable = sorted(topology.nearest(topology.nodes[0].node_id))
        if set(self._nodes) & set(usable):
            return error
        others = f"node {ids_text(usable, ', ')}" if usable else "another node"
        return OSError(
            errno.EINVAL,
            f"cannot set this thread's memory policy to node {ids_text(self._nodes, ', ')}: it has "
            f"no memory, or the cpuset of this process leaves it out. Name {others}, or widen "
            "cpuset.mems",
        )

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        thread, saved = self._entered[-1]
        if thread != threading.get_ident():
            raise RuntimeError("memory_policy must be left in the thread that entered it")
        self._entered.pop()
        _core.restore_thread_policy(saved)


def prefer(nodes: list[int]) -> _core.SavedPolicy:
    """Have the calling thread prefer the memory of nodes; before Linux 5.15, of the nearest one.

    Raises
    ------
    OSError
        The system refuses it.
    """
    if len(nodes) > 1:
        try:
            return _core.set_thread_policy(_core.ThreadMode.PREFERRED_MANY, nodes)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    by_distance = current_topology().nearest(node_here()) if len(nodes) > 1 else ()
    near = [one for one in by_distance if one in nodes]
    return _core.set_thread_policy(_core.ThreadMode.PREFERRED, (near or nodes)[:1])

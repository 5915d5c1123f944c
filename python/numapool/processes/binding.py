"""Which CPUs and which memory policy a program on nodes gets, and giving the calling thread them.

A program inherits both from the thread that starts it. This module and what it imports are light:
``numapool run`` loads no more before it starts the program.
"""

from __future__ import annotations

import errno
import os
import sys

from numapool.base.errors import UnsupportedError, no_such_node
from numapool.base.units import ids_of, ids_text
from numapool.processes import binder
from numapool.threads.inherited_binding import handed_down

TYPE_CHECKING = False  # as typing has it, which takes long to load
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


class Binding:
    """What a program is to be bound to.

    Attributes
    ----------
    nodes : list[int]
        The nodes that were asked for; empty where CPUs alone were.
    cpus : frozenset[int] or None
        The CPUs to run on; None to leave them as they are.
    mode : str or None
        The memory policy, as the core calls it (``"preferred"``, ``"bind"``, ...); None to leave it
        as it is.
    memory_nodes : list[int]
        The nodes of the policy.
    notes : list[str]
        What is otherwise than it was asked for, and why.
    """

    __slots__ = ("cpus", "memory_nodes", "mode", "nodes", "notes")

    def __init__(self) -> None:
        self.nodes: list[int] = []
        self.cpus: frozenset[int] | None = None
        self.mode: str | None = None
        self.memory_nodes: list[int] = []
        self.notes: list[str] = []

    def __str__(self) -> str:
        parts = []
        if self.cpus is not None:
            parts.append(f"CPUs {ids_text(self.cpus)}")
        if self.mode is not None:
            parts.append(f"memory: {_MODES[self.mode]} {nodes_text(self.memory_nodes)}")
        return "; ".join(parts) or "nothing is bound"


_MODES = {
    "preferred": "preferred from",
    "preferred-many": "preferred from",
    "bind": "strictly from",
    "interleave": "interleaved over",
    "weighted-interleave": "interleaved by weight over",
}


def nodes_text(nodes: Collection[int]) -> str:
    """Write ``node 1`` or ``nodes 0-1,3``."""
    return f"node{'' if len(nodes) == 1 else 's'} {ids_text(nodes)}"


def require_linux() -> None:
    """Raise unless programs inherit CPUs and a memory policy on this system."""
    if not hasattr(os, "sched_setaffinity"):
        raise UnsupportedError(
            "numapool cannot bind the programs that it starts on this system: they inherit CPUs "
            "and a memory policy on Linux only. On Windows, use 'start /node N'"
        )


def usable_cpus() -> frozenset[int]:
    """Return the CPUs that programs started by this thread may be given.

    The thread's own, or what it had before a parent process gave them up by ``bind_process``.
    """
    if sys.platform == "win32":
        raise AssertionError  # where no programs are bound
    current = frozenset(os.sched_getaffinity(0))
    inherited = handed_down()
    return inherited[1] if inherited is not None and inherited[0] == current else current


def existing(nodes: Iterable[int]) -> list[int]:
    """Return the nodes, ascending; NodeNotFoundError if one of them is not online."""
    wanted = sorted(set(nodes))
    known = [node.node_id for node in binder.nodes()]
    for node in wanted:
        if node not in known:
            raise no_such_node(node, known)
    return wanted


def nodes_with_memory() -> list[int]:
    """Return the nodes whose memory this process may use, without the memory of devices."""
    return [node.node_id for node in binder.nodes() if node.default]


def nodes_with_cpus() -> list[int]:
    """Return the nodes with CPUs that this process may use."""
    usable = usable_cpus()
    return [node.node_id for node in binder.nodes() if not usable.isdisjoint(node.cpus)]


def bind_cpus_near(binding: Binding, nodes: list[int]) -> None:
    """Bind to the CPUs of nodes; to those of the nearest node with CPUs, where they have none."""
    machine = binder.nodes()
    usable = usable_cpus()
    cpus_by_node = {node.node_id: usable.intersection(node.cpus) for node in machine}
    binding.nodes = nodes
    cpus = frozenset[int]().union(*(cpus_by_node[node] for node in nodes))
    if not cpus:
        others = [node for node in cpus_by_node if cpus_by_node[node]]
        if not others:
            raise UnsupportedError(
                f"none of the CPUs {ids_text(usable)} that this process may use belongs to a node"
            )
        nearest = _nearest(machine, nodes[0], others)
        cpus = cpus_by_node[nearest]
        have = "has" if len(nodes) == 1 else "have"
        binding.notes.append(
            f"{nodes_text(nodes)} {have} no CPUs that this process may use; the program runs on "
            f"those of node {nearest}, the nearest that has"
        )
    binding.cpus = cpus


def cpus_near(node: int) -> frozenset[int]:
    """Return the CPUs that a program on a node would have."""
    binding = Binding()
    bind_cpus_near(binding, [node])
    return binding.cpus or frozenset()


def bind_these_cpus(binding: Binding, cpus: Collection[int]) -> None:
    """Bind to CPUs by number, those of them that this process may use.

    Raises
    ------
    ValueError
        It may use none of them.
    """
    usable = usable_cpus()
    found = usable.intersection(cpus)
    if not found:
        raise ValueError(
            f"this process may use none of the CPUs {ids_text(cpus)}; it may use {ids_text(usable)}"
        )
    if missing := set(cpus) - found:
        binding.notes.append(
            f"this process may not use CPUs {ids_text(missing)}; the program runs on "
            f"{ids_text(found)}"
        )
    binding.cpus = found


def bind_memory(binding: Binding, nodes: list[int], mode: str = "preferred") -> None:
    """Set a policy for the memory of nodes.

    Parameters
    ----------
    binding : Binding
    nodes : list of int
        For ``"preferred"``, nodes whose memory this process may not use are replaced by the nearest
        that it may use.
    mode : "preferred", "bind", "interleave" or "weighted-interleave"
    """
    usable = [node.node_id for node in binder.nodes() if node.usable]
    found = [node for node in nodes if node in usable]
    if len(found) < len(nodes):
        missing = [node for node in nodes if node not in usable]
        if not found and mode == "preferred":
            found = binder.memory_order(nodes[0])[:1]
        have = "has" if len(missing) == 1 else "have"
        instead = f"; memory comes from {nodes_text(found)}" if found else ""
        binding.notes.append(
            f"{nodes_text(missing)} {have} no memory that this process may use{instead}"
        )
    if found:
        binding.mode = "preferred-many" if mode == "preferred" and len(found) > 1 else mode
        binding.memory_nodes = found


def _nearest(machine: list[binder.MachineNode], node: int, others: list[int]) -> int:
    row = next(one.distances for one in machine if one.node_id == node)
    return min(others, key=lambda other: (row[other], other))


def leave_one_thread_per_core(binding: Binding) -> None:
    """Keep of the CPUs that share a core the first."""
    cpus = usable_cpus() if binding.cpus is None else binding.cpus
    try:
        firsts = [cpu for cpu in sorted(cpus) if cpu == min(_siblings(cpu) & cpus)]
    except (OSError, ValueError) as error:
        binding.notes.append(f"which CPUs share a core is unknown: {error}")
        return
    binding.cpus = frozenset(firsts)


def _siblings(cpu: int) -> frozenset[int]:
    with open(_SIBLINGS.format(cpu), encoding="ascii") as file:  # noqa: PTH123 - no pathlib
        return frozenset(ids_of(file.read())) | {cpu}


def bind_this_thread(binding: Binding) -> list[str]:
    """Give the calling thread the CPUs and the policy, for the program that it becomes or starts.

    Returns
    -------
    list of str
        What the system refused, in words; the rest is done.
    """
    if sys.platform == "win32":
        raise AssertionError  # where no programs are bound
    refused = []
    if binding.cpus is not None:
        try:
            os.sched_setaffinity(0, binding.cpus)
        except OSError as error:
            refused.append(f"CPUs are not bound: sched_setaffinity: {error.strerror}")
    if binding.mode is not None:
        try:
            _set_policy(binding)
        except OSError as error:
            refused.append(f"memory is not bound: {error.strerror or error}")
    return refused


def _set_policy(binding: Binding) -> None:
    mode, nodes = str(binding.mode), binding.memory_nodes
    try:
        binder.set_policy(mode, nodes)
    except OSError as error:
        if mode != "preferred-many" or error.errno != errno.EINVAL:
            raise
        # Linux before 5.15 prefers one node only.
        binder.set_policy("preferred", nodes[:1])
        binding.mode, binding.memory_nodes = "preferred", nodes[:1]
        binding.notes.append(
            f"this kernel prefers one node only (several since Linux 5.15): memory comes from "
            f"node {nodes[0]} first"
        )

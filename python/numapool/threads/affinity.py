"""Which CPUs a thread runs on: chosen near a node, set, and put back."""

from __future__ import annotations

import errno
import functools
import os
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import SupportsIndex

from numapool.base.errors import UnsupportedError
from numapool.base.warn_once import warn_once
from numapool.machine.topology import NumaNode, NumaTopology
from numapool.threads import thread_cpus
from numapool.threads.inherited_binding import handed_down


@dataclass(frozen=True, kw_only=True, slots=True)
class CpuPlacement:
    """The CPUs that stand for a node, or for several, as the kernel gave them.

    Attributes
    ----------
    requested_node : int
        The node that was asked for; of several, the one with the lowest id.
    node_id : int
        The node that the CPUs belong to: the one asked for, or the nearest with CPUs that this
        process may use. Of several, the lowest of `node_ids`.
    cpus : tuple[int, ...]
        The CPUs, ascending.
    node_ids : tuple[int, ...]
        Every node that the CPUs belong to, ascending.
    """

    requested_node: int
    node_id: int
    cpus: tuple[int, ...]
    node_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.node_ids:
            object.__setattr__(self, "node_ids", (self.node_id,))


@dataclass(frozen=True, slots=True)
class Pinned:
    """A thread's CPUs, and how to restore the previous ones."""

    placement: CpuPlacement
    base: frozenset[int]
    before: frozenset[int]
    before_was_all: bool
    outer: tuple[frozenset[int], frozenset[int]] | None


class _Thread(threading.local):
    """Of each thread: the CPUs that it was narrowed to, and those that it was narrowed from."""

    narrowed: tuple[frozenset[int], frozenset[int]] | None = None


_thread = _Thread()
# The same of any thread that was narrowed: threads that it starts inherit the CPUs, but nothing of
# ours.
_narrowed_from: dict[frozenset[int], frozenset[int]] = {}


def require_affinity() -> None:
    """Raise unless this platform lets a thread choose its CPUs."""
    if not thread_cpus.AVAILABLE:
        raise UnsupportedError(
            "numapool cannot choose the CPUs of a thread here: that takes sched_setaffinity(2), "
            "which Linux has, or Windows; start the program on the node's CPUs instead, by the "
            "system's own means"
        )


def usable_cpus() -> frozenset[int]:
    """Return the CPUs that the calling thread may choose from.

    Its own, or, where numapool has narrowed these, here or in a parent process, what it could use
    before.
    """
    current = thread_cpus.get()
    if _thread.narrowed is not None and _thread.narrowed[0] == current:
        return _thread.narrowed[1]
    if current in _narrowed_from:
        return _narrowed_from[current]
    inherited = handed_down()
    if inherited is not None and inherited[0] == current:
        return inherited[1]
    return thread_cpus.usable()


@functools.cache
def _all_cpus() -> range:
    """Return every CPU that the system could have, if their ids have no gaps."""
    if sys.platform == "win32":
        return range(os.cpu_count() or 1)
    return range(max(os.sysconf("SC_NPROCESSORS_CONF"), os.cpu_count() or 1))


def _set(cpus: Iterable[int]) -> None:
    try:
        thread_cpus.set(cpus)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            raise UnsupportedError(
                error.errno,
                f"this thread may not choose its CPUs: {error.strerror}; a container's seccomp "
                "profile refuses the call",
            ) from error
        raise


def _by_distance(topology: NumaTopology, wanted: int) -> list[NumaNode]:
    """Return all nodes, the one that is wanted first, then by distance, then by id."""
    return sorted(
        topology.nodes,
        key=lambda node: (
            node.node_id != wanted,
            topology.distance(wanted, node.node_id),
            node.node_id,
        ),
    )


def _candidates(
    topology: NumaTopology, wanted: list[int], base: frozenset[int]
) -> list[tuple[int, frozenset[int]]]:
    """Return CPUs of `base`, all of the nodes that are wanted first, then of others by distance."""
    found = []
    together = base.intersection(cpu for one in wanted for cpu in topology.node(one).cpu_cores)
    if len(wanted) > 1 and together:
        first = min(one for one in wanted if base.intersection(topology.node(one).cpu_cores))
        found.append((first, together))
    return found + [
        (node.node_id, cpus)
        for node in _by_distance(topology, wanted[0])
        if (cpus := base.intersection(node.cpu_cores))
    ]


def pin(
    node: SupportsIndex | Sequence[int],
    topology: NumaTopology,
    base: frozenset[int] | None = None,
) -> Pinned:
    """Have the calling thread run on the CPUs of a node, or of the nearest node with CPUs.

    Parameters
    ----------
    node : int, or several
        Of several nodes all the CPUs.
    topology : NumaTopology
    base : frozenset of int, optional
        The CPUs to choose from, by default :func:`usable_cpus`.

    Raises
    ------
    NodeNotFoundError
        The node does not exist.
    UnsupportedError
        The platform has no way, the system refuses it, or none of the CPUs that this thread may use
        belongs to a node.
    """
    named = node if isinstance(node, Sequence) else [node]
    wanted = [topology.node(one).node_id for one in named]
    require_affinity()
    before = thread_cpus.get()
    outer = _thread.narrowed
    base = usable_cpus() if base is None else base
    candidates = _candidates(topology, wanted, base)
    if not candidates:
        raise UnsupportedError(
            f"none of the CPUs {sorted(base)} that this thread may use belongs to a node"
        )
    before_was_all = False
    node_id, cpus = candidates[0]
    if cpus != before:
        before_was_all = _is_all(before)
        try:
            node_id, cpus = _take_first(candidates)
        except BaseException:
            _set(_all_cpus() if before_was_all else before)
            raise
    if cpus != base:
        _narrowed_from[cpus] = base
    _thread.narrowed = (cpus, base)
    several = [one for one in wanted if cpus.intersection(topology.node(one).cpu_cores)]
    placement = CpuPlacement(
        requested_node=wanted[0],
        node_id=node_id,
        cpus=tuple(sorted(cpus)),
        node_ids=tuple(several) if len(wanted) > 1 else (),
    )
    return Pinned(placement, base, before, before_was_all, outer)


def _take_first(candidates: list[tuple[int, frozenset[int]]]) -> tuple[int, frozenset[int]]:
    """Run on the first set of CPUs that the cpuset still has; return it as the kernel gave it."""
    for node_id, cpus in candidates:
        try:
            _set(cpus)
        except OSError as error:
            if error.errno != errno.EINVAL or node_id == candidates[-1][0]:
                raise
        else:
            break
    return node_id, thread_cpus.get()


def _is_all(before: frozenset[int]) -> bool:
    """Whether a thread's CPUs are all that its cpuset gives; it has them all after the call.

    Such a thread is given all of them back, rather than a list: a list would keep it from what is
    added to the cpuset later.
    """
    if before in _narrowed_from or not thread_cpus.ALL_IS_NO_LIST:
        return False
    _set(_all_cpus())
    return thread_cpus.get() == before


def unpin(pinned: Pinned) -> None:
    """Put the calling thread's former CPUs back; all that its cpuset has, if none of them is left.

    Raises
    ------
    UnsupportedError, OSError
        The system refuses it.
    """
    _thread.narrowed = pinned.outer
    if not pinned.before_was_all:
        if thread_cpus.get() == pinned.before:
            return
        try:
            _set(pinned.before)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        else:
            return
    _set(_all_cpus() if thread_cpus.ALL_IS_NO_LIST else thread_cpus.usable())


def warn_of_other_node(placement: CpuPlacement, stacklevel: int = 2) -> None:
    """Tell once that a node's work is done by another node's CPUs."""
    wanted, used = placement.requested_node, placement.node_id
    if wanted != used and len(placement.node_ids) < 2:
        warn_once(
            f"no CPUs on node {wanted}",
            f"node {wanted} has no CPUs that this process may use; the CPUs of node {used}, the "
            "nearest that has, are used instead (said once per node)",
            stacklevel + 1,
        )

"""Putting memory on a node, moving it, and seeing where it is: each call made on a scratch page."""

from __future__ import annotations

import errno
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path

from numapool import _core
from numapool.base.units import ids_text, printable, size_text
from numapool.memory.movable_only import movable_only_nodes
from numapool.probes.capability import Capability
from numapool.probes.machine import Machine, words_of

MADV_POPULATE_WRITE = 23  # include/uapi/asm-generic/mman-common.h
#: With less free, a node may have none for a single page (watermarks, lists of each CPU).
_ROOM_BYTES = 64 << 20
_ROOM_SHARE = 20  # of the node's memory: a twentieth


def allow_calls(machine: Machine, calls: str, error: OSError | None = None) -> str:
    """Say how system calls that were refused are allowed."""
    if machine.has_seccomp_filter:
        return (
            f"allow {calls} in the container's seccomp profile; Docker's allows mbind and "
            "set_mempolicy with --cap-add SYS_NICE (Kubernetes: capabilities.add SYS_NICE)"
        )
    if error is not None and error.errno in (errno.EPERM, errno.EACCES):
        return f"have the sandbox or security module around this process allow {calls}"
    return "run on Linux, with a kernel that has CONFIG_NUMA"


def nodes(machine: Machine) -> Iterator[Capability]:
    """Tell whether there is a choice of nodes at all."""
    usable = machine.usable_nodes
    every = [node.node_id for node in machine.topology.nodes]
    if len(usable) > 1:
        detail = f"this process may use the memory of nodes {ids_text(usable, ', ')}"
    elif len(every) == 1:
        detail = "one node: all memory is equally near, and binding changes nothing"
    else:
        where = f"node {usable[0]} alone" if usable else "no node"
        detail = f"of nodes {ids_text(every, ', ')} this process may use the memory of {where}"
    movable = sorted(movable_only_nodes(Path(machine.path("/sys/devices/system/node"))))
    if movable:
        detail += (
            f"; all memory of node {ids_text(movable, ', ')} is movable: pages that a device pins "
            "(cudaHostRegister, RDMA) are moved to another node first"
        )
    for node in sorted(set(usable) - set(machine.default_nodes)):
        kind = machine.topology.node(node).kind
        what = "memory of a device" if kind == "device" else "NUMAPOOL_DEFAULT_NODES leaves it out"
        detail += f"; node {node} is used only if you name it ({what})"
    yield Capability(name="nodes", available=len(usable) > 1, detail=detail)


_MOST_NOTES = 3


def description(machine: Machine) -> Iterator[Capability]:
    """Tell what of the nodes' description could not be read, or made no sense."""
    notes = machine.topology.notes
    shown = "; ".join(printable(note) for note in notes[:_MOST_NOTES])
    more = f"; and {len(notes) - _MOST_NOTES} more" if len(notes) > _MOST_NOTES else ""
    yield Capability(
        name="node description",
        available=not notes,
        detail=shown + more or "every file that describes the nodes could be read",
        remedy="a fault of the firmware, the kernel or the sandbox; numapool info --json lists all"
        if notes
        else "",
    )


def bind(machine: Machine) -> Iterator[Capability]:
    """Put a page on every node that is used by default, by mbind(2)."""
    landed: dict[int, int | None] = {}
    for node in machine.default_nodes:
        try:
            landed[node] = _core.try_bind(node, False)
        except OSError as error:
            yield Capability(
                name="bind",
                available=False,
                detail=words_of(error),
                remedy=allow_calls(machine, "mbind", error),
            )
            return
    right = [node for node, seen in landed.items() if seen == node]
    unseen = [node for node, seen in landed.items() if seen is None]
    elsewhere = [node for node, seen in landed.items() if seen not in (node, None)]
    disobeyed = [node for node in elsewhere if _has_room(machine, node)]
    remedy = "" if landed else "widen cpuset.mems of its cgroup"
    parts = []
    if right:
        parts.append(f"mbind put a page on node {ids_text(right, ', ')}")
    if unseen:
        parts.append(f"mbind was accepted for node {ids_text(unseen, ', ')}, where cannot be seen")
    parts += [
        f"a page asked of node {node} came from node {landed[node]} "
        f"({size_text(machine.topology.node(node).free_memory_bytes())} free on node {node})"
        for node in elsewhere
    ]
    if disobeyed:
        parts.append("so mbind is accepted here and does nothing")
        remedy = (
            "run on the machine's own kernel: this sandbox or emulated kernel says that it sets "
            "memory policies, and does not"
        )
    yield Capability(
        name="bind",
        available=bool(right or unseen) and not disobeyed,
        detail="; ".join(parts) or "this process may use the memory of no node",
        remedy=remedy,
    )


def _has_room(machine: Machine, node: int) -> bool:
    """Tell whether a node had a page to give, so that one from elsewhere is the system's fault."""
    one = machine.topology.node(node)
    return one.free_memory_bytes() >= max(_ROOM_BYTES, (one.total_memory_bytes or 0) // _ROOM_SHARE)


def verify(machine: Machine) -> Iterator[Capability]:
    """Ask each witness where a page is."""
    answers: dict[int, list[str]] = {}
    refusals: list[str] = []
    last: OSError | None = None
    for witness in _core.Witness:
        try:
            answers.setdefault(_core.try_witness(witness), []).append(witness.name.lower())
        except OSError as error:
            refusals.append(words_of(error))
            last = error
    seen = [f"{' and '.join(names)} saw a page on node {n}" for n, names in answers.items()]
    remedy = ""
    if not answers:
        remedy = allow_calls(machine, "move_pages or get_mempolicy", last)
    elif not any("move_pages" in names for names in answers.values()):
        remedy = f"for faster answers: {allow_calls(machine, 'move_pages', last)}"
    yield Capability(
        name="verify",
        available=bool(answers),
        detail="; ".join(seen + refusals),
        remedy=remedy,
    )


def migrate(machine: Machine) -> Iterator[Capability]:
    """Move a page to a node that it is not on, where there is one."""
    if not machine.default_nodes:
        yield Capability(
            name="migrate", available=False, detail="this process may use the memory of no node"
        )
        return
    here = _core.current_node()
    target = next((n for n in machine.default_nodes if n != here), machine.default_nodes[0])
    try:
        seen = _core.try_move(target)
    except OSError as error:
        yield Capability(
            name="migrate",
            available=False,
            detail=words_of(error),
            remedy=allow_calls(machine, "move_pages", error),
        )
        return
    if target == here:
        detail = "the call is accepted; with one node there is nowhere to move to"
    elif seen is None:
        detail = f"a page was to move to node {target}; whether it did cannot be seen"
    elif seen == target:
        detail = f"a page was moved to node {target}"
    else:
        detail = f"a page was to move to node {target} and stayed on node {seen}"
    available = None if seen is None and target != here else target == here or seen == target
    yield Capability(name="migrate", available=available, detail=detail)


def weighted_interleave(machine: Machine) -> Iterator[Capability]:
    """Try the policy, and read the system's weights."""
    folder = "/sys/kernel/mm/mempolicy/weighted_interleave"
    weights = {
        int(name[4:]): machine.number(f"{folder}/{name}")
        for name in machine.names(folder)
        if name.startswith("node") and name[4:].isdigit()
    }
    text = ", ".join(f"node {node}: {weights[node]}" for node in sorted(weights))
    try:
        if machine.default_nodes:
            _core.try_bind(machine.default_nodes[0], True)
    except OSError as error:
        yield Capability(
            name="weighted interleave",
            available=False,
            detail=f"{words_of(error)} (MPOL_WEIGHTED_INTERLEAVE)",
            remedy=""
            if weights
            else "Linux 6.9 or later; without it memory is interleaved equally",
        )
        return
    yield Capability(
        name="weighted interleave",
        available=bool(weights),
        detail=f"the policy is accepted; the system's weights: {text or 'not in sysfs'}",
    )


def populate(machine: Machine) -> Iterator[Capability]:
    """Make a page resident by madvise(2)."""
    if sys.platform == "win32":
        yield Capability(
            name="populate",
            available=False,
            detail="Windows has no madvise(2); pages are touched one by one instead",
        )
        return
    with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as scratch:
        try:
            scratch.madvise(MADV_POPULATE_WRITE)
        except OSError as error:
            yield Capability(
                name="populate",
                available=False,
                detail=f"madvise(MADV_POPULATE_WRITE): {error.strerror}; pages are touched one "
                "by one instead",
                remedy="Linux 5.14 or later, for fewer page faults",
            )
            return
    yield Capability(
        name="populate",
        available=True,
        detail="madvise(MADV_POPULATE_WRITE) makes pages resident without a fault for each",
    )

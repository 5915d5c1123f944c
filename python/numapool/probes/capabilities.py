"""Runs every probe, and puts the answers together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from numapool.probes import (
    confinement,
    devices,
    huge_pages,
    kernel_moves,
    limits,
    locked,
    placement,
    pressure,
    storage,
    threads,
)
from numapool.probes.capability import Capabilities, Capability
from numapool.probes.machine import Machine

Probe = Callable[[Machine], Iterable[Capability]]

#: By the name that a probe goes by if it fails, in the order of the answers.
PROBES: dict[str, Probe] = {
    "nodes": placement.nodes,
    "node description": placement.description,
    "bind": placement.bind,
    "verify": placement.verify,
    "migrate": placement.migrate,
    "weighted interleave": placement.weighted_interleave,
    "populate": placement.populate,
    "thread CPUs": threads.thread_cpus,
    "thread memory": threads.thread_memory,
    "transparent huge pages": huge_pages.transparent,
    "hugetlb pages": huge_pages.hugetlb,
    "locked memory": locked.locked_memory,
    "pressure": pressure.stall_information,
    "pressure trigger": pressure.trigger,
    "memory limits": limits.memory_limits,
    "cgroup": pressure.cgroup_limits,
    "balloon": devices.balloon,
    "free page reporting": devices.free_page_reporting,
    "device locality": devices.locality,
    "read queue": storage.read_queue,
    "memory tiers": kernel_moves.memory_tiers,
    "automatic balancing": kernel_moves.automatic_balancing,
    "whole machine": confinement.whole_machine,
    "system calls": confinement.system_calls,
}


def run_all(machine: Machine, probes: dict[str, Probe] | None = None) -> tuple[Capability, ...]:
    """Run every probe; one that fails becomes an answer that says so."""
    found: list[Capability] = []
    for name, probe in (PROBES if probes is None else probes).items():
        try:
            found.extend(probe(machine))
        except Exception as error:
            found.append(
                Capability(
                    name=name,
                    available=None,
                    detail=f"could not be found out: {type(error).__name__}: {error}",
                )
            )
    return tuple(found)


def capabilities() -> tuple[Capability, ...]:
    """Find out what numapool can use on this machine, by trying it.

    What takes a system call is tried on memory and threads that are made for it and gone
    afterwards; the rest is read from files. Nothing of the system or of this process is changed.
    A probe that fails says so in its `detail` and hinders no other.

    Returns
    -------
    tuple[Capability, ...]
        In a fixed order; names are those of docs/doctor.md. Huge page sizes have an entry each.
    """
    return Capabilities(run_all(Machine()))

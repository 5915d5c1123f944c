"""What confines this process: a cpuset, a seccomp filter, missing privileges."""

from __future__ import annotations

from collections.abc import Iterator

from numapool import _core
from numapool.base.units import ids_text
from numapool.probes.capability import Capability
from numapool.probes.machine import (
    CAP_IPC_LOCK,
    CAP_SYS_NICE,
    CAP_SYS_RESOURCE,
    Machine,
)
from numapool.threads import thread_cpus
from numapool.threads.affinity import usable_cpus

_PRIVILEGES = {
    "CAP_SYS_NICE": CAP_SYS_NICE,
    "CAP_SYS_RESOURCE": CAP_SYS_RESOURCE,
    "CAP_IPC_LOCK": CAP_IPC_LOCK,
}


def whole_machine(machine: Machine) -> Iterator[Capability]:
    """Compare what this process may use with what there is: nodes with memory, and CPUs.

    A strict memory policy that the process was started with confines it, too.
    """
    topology = machine.topology
    bind = _core.inherited_bind() if machine.root == "/" else ()
    with_memory = {node.node_id for node in topology.nodes if node.total_memory_bytes != 0}
    online = {cpu for node in topology.nodes for cpu in node.cpu_cores}
    no_nodes = with_memory.difference(topology.allowed_node_ids)
    tells_cpus = machine.root == "/" and thread_cpus.AVAILABLE
    no_cpus = online.difference(usable_cpus()) if tells_cpus else set()
    if not no_nodes and not no_cpus and not bind:
        yield Capability(
            name="whole machine",
            available=True,
            detail=f"all memory (node {ids_text(with_memory, ', ')}) and all CPUs "
            f"({ids_text(online, ', ')}) may be used",
        )
        return
    parts = []
    if no_nodes:
        parts.append(f"the memory of node {ids_text(no_nodes, ', ')} may not be used")
    if no_cpus:
        parts.append(f"CPUs {ids_text(no_cpus, ', ')} may not be used")
    confined = [f"{'; '.join(parts)} (cpuset, taskset or numactl)"] if parts else []
    remedies = []
    if parts:
        remedies.append(
            "docker --cpuset-mems / --cpuset-cpus, or AllowedMemoryNodes= and AllowedCPUs= of the "
            "systemd unit"
        )
    if bind:
        confined.append(
            f"this process was started with its memory bound to node {ids_text(bind, ', ')} "
            "(numactl --membind, or NUMAPolicy=bind of the systemd unit): numapool uses other "
            "nodes only where you name one"
        )
        remedies.append("start it without a strict memory policy")
    yield Capability(
        name="whole machine",
        available=False,
        detail="; ".join(confined),
        remedy=f"if that is not meant: {'; '.join(remedies)}",
    )


def system_calls(machine: Machine) -> Iterator[Capability]:
    """Read whether a seccomp filter is on, and which privileges the process has."""
    mode = machine.status.get("Seccomp")
    held: list[str] = []
    lacking: list[str] = []
    for name, number in _PRIVILEGES.items():
        has = machine.has_capability(number)
        if has is not None:
            (held if has else lacking).append(name)
    filtered = machine.has_seccomp_filter
    if mode is None:
        parts = ["the kernel does not tell of seccomp"]
    else:
        parts = ["a seccomp filter is on" if filtered else "no seccomp filter"]
    if held:
        parts.append(f"with {', '.join(held)}")
    if lacking:
        parts.append(f"without {', '.join(lacking)}")
    unprivileged = filtered and "CAP_SYS_NICE" in lacking
    yield Capability(
        name="system calls",
        available=None if mode is None else not filtered,
        detail="; ".join(parts),
        remedy="if bind or verify is missing: docker --cap-add SYS_NICE, or a profile of your own"
        if unprivileged
        else "",
    )

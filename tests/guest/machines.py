"""The machines that the guest tests ask for, by name."""

from __future__ import annotations

from dataclasses import replace

from . import devices
from .harness.machine import Balloon, HmatFigures, Machine, Node

#: Two equal nodes: the usual two-socket server.
TWO_EQUAL = Machine(
    name="two_equal",
    cpu_count=4,
    nodes=(
        Node(node_id=0, memory_mib=1024, cpus=(0, 1)),
        Node(node_id=1, memory_mib=1024, cpus=(2, 3)),
    ),
)

#: Four nodes in two packages. No two of their distances agree, not even those of both directions.
FOUR_ASYMMETRIC = Machine(
    name="four_asymmetric",
    cpu_count=4,
    sockets=2,
    nodes=tuple(Node(node_id=number, memory_mib=512, cpus=(number,)) for number in range(4)),
    distances=(
        (10, 21, 31, 25),
        (22, 10, 24, 32),
        (33, 26, 10, 23),
        (27, 34, 28, 10),
    ),
)

#: Node 1 has CPUs and no memory, node 2 memory and no CPUs.
LOPSIDED = Machine(
    name="lopsided",
    cpu_count=4,
    nodes=(
        Node(node_id=0, memory_mib=768, cpus=(0, 1)),
        Node(node_id=1, cpus=(2, 3)),
        Node(node_id=2, memory_mib=512),
    ),
    distances=((10, 20, 40), (20, 10, 17), (40, 17, 10)),
)

#: Nodes 0 and 2 of possible 0 to 3: node 1 owns a CPU that is absent, node 3 owns nothing. The
#: kernel does not count stalls.
SPARSE = Machine(
    name="sparse",
    cpu_count=2,
    nodes=(
        Node(node_id=0, memory_mib=768, cpus=(0, 1)),
        Node(node_id=1, cpus=(2,)),
        Node(node_id=2, memory_mib=512),
        Node(node_id=3),
    ),
    hotplug_slots=4,
    max_memory_mib=4096,
    kernel_options=("psi=0",),
)

#: DRAM and a slower, CPU-less node as CXL gives it, with the firmware's figures for both. This
#: kernel makes memory tiers of the figures. Each package has one core, of two CPUs.
HMAT_612 = Machine(
    name="hmat_612",
    kernel="6.12",
    cpu_count=4,
    sockets=2,
    threads=2,
    nodes=(
        Node(node_id=0, memory_mib=768, cpus=(0, 1), initiator=0),
        Node(node_id=1, memory_mib=512, cpus=(2, 3), initiator=1),
        Node(node_id=2, memory_mib=512, initiator=1),
    ),
    distances=((10, 21, 30), (21, 10, 20), (30, 20, 10)),
    hmat=(
        HmatFigures(initiator=0, target=0, latency_ns=80, bandwidth_mib_s=20480),
        HmatFigures(initiator=0, target=1, latency_ns=140, bandwidth_mib_s=10240),
        HmatFigures(initiator=0, target=2, latency_ns=310, bandwidth_mib_s=4096),
        HmatFigures(initiator=1, target=0, latency_ns=140, bandwidth_mib_s=10240),
        HmatFigures(initiator=1, target=1, latency_ns=80, bandwidth_mib_s=20480),
        HmatFigures(initiator=1, target=2, latency_ns=250, bandwidth_mib_s=5120),
    ),
)

#: A node that a single request overflows, beside a big one.
SMALL_BESIDE_BIG = Machine(
    name="small_beside_big",
    cpu_count=4,
    nodes=(
        Node(node_id=0, memory_mib=1536, cpus=(0, 1)),
        Node(node_id=1, memory_mib=256, cpus=(2, 3)),
    ),
)

#: A small machine whose memory its host can take, and is told of as it comes free.
BALLOON = Machine(
    name="balloon",
    cpu_count=2,
    nodes=(Node(node_id=0, memory_mib=1024, cpus=(0, 1)),),
    shared_memory=True,
    balloon=Balloon(),
)
#: A newer kernel, and a balloon that keeps what it has when memory is short: MemTotal shrinks.
BALLOON_FIRM_612 = replace(
    BALLOON, name="balloon_firm_612", kernel="6.12", balloon=Balloon(deflate_on_oom=False)
)
#: A balloon whose host is told nothing of free memory.
BALLOON_SILENT = replace(BALLOON, name="balloon_silent", balloon=Balloon(free_page_reporting=False))

#: Disks and network adapters behind expanders of both nodes, and on the root bus, of no node.
DEVICES = replace(TWO_EQUAL, name="devices", qemu_options=devices.qemu_options())
DEVICES_612 = replace(DEVICES, name="devices_612", kernel="6.12")

#: The kernel cuts the memory of one node in two, which have the same CPUs.
SHARED_CPUS = Machine(
    name="shared_cpus",
    kernel="6.12",
    cpu_count=2,
    nodes=(Node(node_id=0, memory_mib=1024, cpus=(0, 1)),),
    kernel_options=("numa=fake=2",),
)

#: With room for a gigabyte to move. What goes to node 0 can be moved by one CPU near it, what goes
#: to node 1 by two, and no node has more CPUs than a small host can emulate at once.
TWO_LARGE_612 = Machine(
    name="two_large_612",
    kernel="6.12",
    cpu_count=3,
    nodes=(
        Node(node_id=0, memory_mib=2048, cpus=(0,)),
        Node(node_id=1, memory_mib=2048, cpus=(1, 2)),
    ),
)

#: The same with a clock that counts the instructions of all CPUs, which take turns. What it shows
#: is work, and the same on a busy host.
TWO_COUNTED_612 = replace(
    TWO_LARGE_612, name="two_counted_612", qemu_options=("-icount", "shift=0,sleep=off")
)

TWO_EQUAL_612 = replace(TWO_EQUAL, name="two_equal_612", kernel="6.12")
SMALL_BESIDE_BIG_612 = replace(SMALL_BESIDE_BIG, name="small_beside_big_612", kernel="6.12")

BY_NAME: dict[str, Machine] = {
    machine.name: machine
    for machine in (
        TWO_EQUAL,
        FOUR_ASYMMETRIC,
        LOPSIDED,
        SPARSE,
        SMALL_BESIDE_BIG,
        TWO_COUNTED_612,
        TWO_EQUAL_612,
        SMALL_BESIDE_BIG_612,
        HMAT_612,
        BALLOON,
        BALLOON_FIRM_612,
        BALLOON_SILENT,
        DEVICES,
        DEVICES_612,
        SHARED_CPUS,
        TWO_LARGE_612,
    )
}

"""What a machine under test looks like: nodes, CPUs, distances, figures. Descriptions only."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Distance of a node to itself, and to any other where the firmware says nothing (ACPI SLIT
#: defaults).
LOCAL_DISTANCE = 10
REMOTE_DISTANCE = 20


@dataclass(frozen=True, kw_only=True)
class Node:
    """One NUMA node as the firmware describes it to the kernel.

    A node with neither memory nor a present CPU is possible but never online.

    Parameters
    ----------
    node_id
        The id in the firmware's tables, which the kernel keeps.
    memory_mib
        Size at boot in MiB; 0 for a memory-less node.
    cpus
        Ids of the CPUs that belong to it; empty for a CPU-less node.
    initiator
        For a CPU-less node under HMAT: the node whose CPUs reach it best.
    """

    node_id: int
    memory_mib: int = 0
    cpus: tuple[int, ...] = ()
    initiator: int | None = None


@dataclass(frozen=True, kw_only=True)
class HmatFigures:
    """What the HMAT says of reads and writes between an initiator and a target."""

    initiator: int
    target: int
    latency_ns: int
    bandwidth_mib_s: int


@dataclass(frozen=True, kw_only=True)
class Balloon:
    """A virtio balloon device; inside, ``modprobe virtio_balloon`` puts it to work.

    Parameters
    ----------
    free_page_reporting
        The guest tells of free pages, and QEMU gives them back to the host at once.
    deflate_on_oom
        The guest may take memory back before its OOM killer does; MemTotal then stays as it is.
    """

    free_page_reporting: bool = True
    deflate_on_oom: bool = True


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A complete description from which a guest is booted.

    Parameters
    ----------
    name
        Unique; tests select a machine by it.
    nodes
        Every possible node, ascending by id, without gaps (QEMU numbers them so).
    cpu_count
        CPUs present at boot: ids 0 to ``cpu_count - 1``. Nodes may own higher ids, which are
        absent.
    sockets
        How many packages the CPUs are in, in their order; 0: each in one of its own, so that a node
        may own any set of them, absent ones included.
    threads
        CPUs of a core.
    distances
        One row per node in the order of ``nodes``, both directions; None leaves the firmware
        without a SLIT.
    hmat
        Figures for the HMAT; empty for none.
    kernel
        Kernel series, a key of :data:`harness.kernel.SERIES`.
    hotplug_slots, max_memory_mib
        Room for DIMMs that are plugged in later.
    kernel_options
        Appended to the kernel's command line.
    qemu_options
        Appended to QEMU's, for devices.
    shared_memory
        Back guest memory by a memfd, so that the host sees it as RssShmem of QEMU.
    balloon
        A balloon device; None for none.
    """

    name: str
    nodes: tuple[Node, ...]
    cpu_count: int
    sockets: int = 0
    threads: int = 1
    distances: tuple[tuple[int, ...], ...] | None = None
    hmat: tuple[HmatFigures, ...] = ()
    kernel: str = "6.1"
    hotplug_slots: int = 0
    max_memory_mib: int = 0
    kernel_options: tuple[str, ...] = ()
    qemu_options: tuple[str, ...] = field(default=())
    shared_memory: bool = False
    balloon: Balloon | None = None

    def __post_init__(self) -> None:
        if tuple(node.node_id for node in self.nodes) != tuple(range(len(self.nodes))):
            raise ValueError(
                f"machine {self.name}: node ids must be 0..{len(self.nodes) - 1} in order"
            )
        if self.distances is not None and (
            len(self.distances) != len(self.nodes)
            or any(len(row) != len(self.nodes) for row in self.distances)
        ):
            raise ValueError(
                f"machine {self.name}: distances must be a square of {len(self.nodes)} nodes"
            )

        if self.owned_cpu_count % ((self.sockets or 1) * self.threads):
            raise ValueError(f"machine {self.name}: its sockets must have as many cores each")

    @property
    def memory_mib(self) -> int:
        """Memory at boot, all nodes together."""
        return sum(node.memory_mib for node in self.nodes)

    @property
    def owned_cpu_count(self) -> int:
        """CPUs that nodes own, the absent ones included."""
        return max((cpu + 1 for node in self.nodes for cpu in node.cpus), default=self.cpu_count)

    def place_of(self, cpu: int) -> tuple[int, int, int]:
        """The socket, the core in it and the thread of that which a CPU is."""
        in_socket = self.owned_cpu_count // (self.sockets or self.owned_cpu_count)
        return cpu // in_socket, cpu % in_socket // self.threads, cpu % self.threads

    @property
    def online_nodes(self) -> tuple[Node, ...]:
        """The nodes that the kernel brings online: those with memory or a present CPU."""
        return tuple(node for node in self.nodes if node.memory_mib or self.present_cpus(node))

    def present_cpus(self, node: Node) -> tuple[int, ...]:
        """CPUs of ``node`` that exist at boot."""
        return tuple(cpu for cpu in node.cpus if cpu < self.cpu_count)

    def node(self, node_id: int) -> Node:
        """The node with this id."""
        return self.nodes[node_id]

    def distance(self, source: int, target: int) -> int:
        """The distance that the firmware tells, in the kernel's units (10 = local)."""
        if self.distances is None:
            return LOCAL_DISTANCE if source == target else REMOTE_DISTANCE
        return self.distances[source][target]

    def figures(self, target: int) -> HmatFigures | None:
        """The HMAT figures that sysfs shows for ``target``: those of its best initiator."""
        rows = [row for row in self.hmat if row.target == target]
        return min(rows, key=lambda row: (row.latency_ns, -row.bandwidth_mib_s), default=None)

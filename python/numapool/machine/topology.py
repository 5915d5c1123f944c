"""The NUMA nodes of a machine: CPUs, memory, distances, and which of them this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, SupportsIndex

from numapool import _core
from numapool.base import arguments, renamed
from numapool.base.errors import no_such_node
from numapool.base.locks import cached_property
from numapool.base.units import ids_text, size_text
from numapool.base.warn_once import warn_once
from numapool.machine.cpu_groups import CpuGroups, CpuPackage, LastLevelCache
from numapool.machine.devices import Device, DeviceList

MemoryKind = Literal["dram", "device", "cxl", "pmem", "hbm", "unknown"]
DefaultNodes = str | SupportsIndex | Iterable[SupportsIndex]


@dataclass(frozen=True, kw_only=True, slots=True)
class NumaNode:
    """One NUMA node, as it was when the topology was read.

    Attributes
    ----------
    node_id : int
        The kernel's number of the node; ids may have gaps.
    total_memory_bytes : int or None
        Memory of the node; 0 for a node of CPUs alone. None where the system does not say how much
        there is: such a node is used like any other.
    cpu_cores : tuple[int, ...]
        The CPUs of the node that are online, ascending; empty for memory without CPUs (CXL, HBM,
        GPU memory).
    memory_tier : int or None
        The kernel's memory tier, lower is faster (sysfs-kernel-mm-memory-tiers); None where it has
        none.
    read_latency_ns, write_latency_ns : int or None
        Latency from the node's best initiator; None unless the firmware gives it (HMAT,
        numaperf.rst).
    read_bandwidth_bytes_s, write_bandwidth_bytes_s : int or None
        Bandwidth in bytes per second, as for the latencies.
    kind : str
        What the memory is: ``"dram"``, of a node with CPUs; ``"device"``, of a GPU whose driver
        shows it as a node; ``"cxl"``; ``"pmem"``; ``"hbm"``, by the firmware's bandwidths;
        ``"unknown"``, also where there is no memory.
    kind_evidence : str
        How the kind is known, or why it is not.
    """

    node_id: int
    total_memory_bytes: int | None
    cpu_cores: tuple[int, ...]
    memory_tier: int | None = None
    read_latency_ns: int | None = None
    write_latency_ns: int | None = None
    read_bandwidth_bytes_s: int | None = None
    write_bandwidth_bytes_s: int | None = None
    kind: MemoryKind = "unknown"
    kind_evidence: str = ""
    _root: str = field(default="/", repr=False, compare=False)
    _devices: DeviceList | None = field(default=None, repr=False, compare=False)

    @property
    def local_devices(self) -> tuple[Device, ...]:
        """The disks, network and InfiniBand adapters, GPUs and dax devices of this node.

        By kind and name; devices whose node the system does not tell are in
        :attr:`NumaTopology.devices` alone. Read once for all nodes, when first asked for.

        Raises
        ------
        OSError
            The machine's folder has gone.
        """
        return () if self._devices is None else self._devices.on(self.node_id)

    def free_memory_bytes(self) -> int:
        """Read the node's free memory in bytes now; clean file cache is not counted.

        Raises
        ------
        OSError
            The node has gone offline, or the system does not say how much is free.
        TopologyError
            The system's file makes no sense; the message names it and quotes it.
        """
        return _core.free_memory_bytes(os.fsencode(self._root), self.node_id)

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes, apart from the devices, as a dictionary fit for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name in self.__slots__
            if not name.startswith("_")
            for value in (getattr(self, name),)
        }


class NumaTopology:
    """A snapshot of a machine's NUMA nodes; make one by :meth:`detect` or :meth:`from_sysfs`.

    Immutable and safe to share between threads. Topologies are equal if they describe the same
    machine.
    """

    def __init__(self, core: _core.Topology, root: str) -> None:
        self._core = core
        self._root = root
        self._devices = DeviceList(core)
        self._cpu_groups: CpuGroups | None = None

    @classmethod
    def detect(cls, *, default_nodes: DefaultNodes | None = None) -> NumaTopology:
        """Read the running machine.

        An attribute that cannot be read or makes no sense is left out, and :attr:`notes` says so.

        Parameters
        ----------
        default_nodes : str, int or iterable of int, optional
            The :attr:`default_node_ids`: ids, or text as the environment variable
            ``NUMAPOOL_DEFAULT_NODES`` has it, which holds where this is None.

        Raises
        ------
        ValueError
            `default_nodes` names no node that this process may use.
        OSError
            The system has no descriptors or memory left to read it.

        Warns
        -----
        PlacementWarning
            Once, if ``NUMAPOOL_DEFAULT_NODES`` makes no sense; it is ignored then.
        """
        core = _core.Topology.detect(_default_words(default_nodes))
        _warn_of_default_nodes(core)
        return cls(core, "/")

    @classmethod
    def from_sysfs(
        cls,
        root: arguments.PathLike,
        *,
        strict: bool = False,
        default_nodes: DefaultNodes | None = None,
    ) -> NumaTopology:
        """Read another machine, captured or made up, from ``root/sys`` and ``root/proc``.

        Missing files are taken as an old or small kernel would have them: without distances, 10 and
        20 are assumed (:attr:`distances_assumed`); without node folders, the machine is one node. A
        file that makes no sense is left out, and :attr:`notes` says so.

        Parameters
        ----------
        root : str or path-like
            The folder that holds ``sys`` and ``proc``.
        strict : bool
            Raise TopologyError for the first file that makes no sense, to check a tree.
        default_nodes : str, int or iterable of int, optional
            As for :meth:`detect`; the environment is not asked.

        Raises
        ------
        ValueError
            `default_nodes` names no node that this process may use.
        OSError
            The folder does not exist.
        TopologyError
            The folder holds no machine; with `strict`, a file makes no sense: the message names it
            and quotes it.
        """
        path = arguments.path("root", root, as_bytes=True)
        path = os.path.abspath(path)  # noqa: PTH100 - pathlib takes 2 ms to import
        exact = arguments.flag("strict", strict)
        words = _default_words(default_nodes)
        return cls(_core.Topology.from_sysfs(os.fsencode(path), exact, words), path)

    @cached_property
    def nodes(self) -> tuple[NumaNode, ...]:
        """Every node that is online, by ascending id."""
        return tuple(
            NumaNode(
                node_id=node.node_id,
                total_memory_bytes=node.total_memory_bytes,
                cpu_cores=node.cpus,
                memory_tier=node.memory_tier,
                read_latency_ns=node.read_latency_ns,
                write_latency_ns=node.write_latency_ns,
                read_bandwidth_bytes_s=node.read_bandwidth_bytes_s,
                write_bandwidth_bytes_s=node.write_bandwidth_bytes_s,
                kind=node.kind,  # type: ignore[arg-type] # one of these words
                kind_evidence=node.kind_evidence,
                _root=self._root,
                _devices=self._devices,
            )
            for node in self._core.nodes()
        )

    def _with_only(self, node_ids: Iterable[int]) -> NumaTopology:
        """Return the machine with some of its nodes alone, for screens."""
        wanted = set(node_ids)
        places = [at for at, node in enumerate(self.nodes) if node.node_id in wanted]
        made = NumaTopology(self._core, self._root)
        made._devices = self._devices
        made.__dict__["nodes"] = tuple(self.nodes[at] for at in places)
        made.__dict__["distance_matrix"] = tuple(
            tuple(self.distance_matrix[at][other] for other in places) for at in places
        )
        return made

    @cached_property
    def _by_id(self) -> dict[int, int]:
        """The place of each node in :attr:`nodes`."""
        return {node.node_id: index for index, node in enumerate(self.nodes)}

    @property
    def _known_ids(self) -> dict[int, int]:
        return self._by_id

    @property
    def devices(self) -> tuple[Device, ...]:
        """All disks, network and InfiniBand adapters, GPUs and dax devices that are hardware.

        By kind and name, those of unknown node too; read when first asked for. Of an NVMe namespace
        with several paths there is one for each path.

        Raises
        ------
        OSError
            The machine's folder has gone.
        """
        return self._devices.all()

    @property
    def packages(self) -> tuple[CpuPackage, ...]:
        """The packages (sockets) by id; none if the system tells none.

        Read when first asked for.
        """
        return self._groups().packages()

    @property
    def last_level_caches(self) -> tuple[LastLevelCache, ...]:
        """The last caches before memory, by their first CPU; none if the system tells none.

        Read when first asked for.
        """
        return self._groups().caches()

    def _groups(self) -> CpuGroups:
        groups = self._cpu_groups
        if groups is None:
            cpus = {node.node_id: node.cpus for node in self._core.nodes()}
            groups = self._cpu_groups = CpuGroups(self._root, cpus)
        return groups

    @property
    def node_count(self) -> int:
        """How many nodes are online, with or without memory."""
        return len(self.nodes)

    @cached_property
    def distance_matrix(self) -> tuple[tuple[int, ...], ...]:
        """Distances between all nodes, rows and columns in the order of :attr:`nodes`.

        In units of the ACPI SLIT: 10 is local, 20 takes twice as long. Not always symmetric.
        """
        return self._core.distances()

    @property
    def distances_assumed(self) -> bool:
        """Whether the system gave no distances, or not all.

        Those between two nodes of which neither has a row are 20, or the largest that the system
        gave if that is more.
        """
        return self._core.distances_assumed()

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What could not be read or made no sense, and what stands in for it.

        A line for each; empty on a machine that is in order. Two topologies may be equal and differ
        in their notes.
        """
        return self._core.notes()

    @cached_property
    def allowed_node_ids(self) -> tuple[int, ...]:
        """The online nodes that this process may take memory from (cpuset(7), Mems_allowed)."""
        return self._core.allowed()

    @cached_property
    def default_node_ids(self) -> tuple[int, ...]:
        """The nodes that memory comes from where you name none, ascending.

        The usable nodes, without the memory of devices (:attr:`NumaNode.kind`). An operator may say
        otherwise in the environment variable ``NUMAPOOL_DEFAULT_NODES``: ``"0-1,4"`` these nodes,
        ``"!2"`` all usable nodes but these, ``"all"`` the memory of devices too. Where that leaves
        none, all usable nodes. Memory of other nodes is used only if you name them.
        """
        return self._core.default_nodes()

    @property
    def multi_node(self) -> bool:
        """Whether this process may use the memory of two or more nodes."""
        return len(self._core.usable()) > 1

    is_numa = renamed.attribute("NumaTopology", "is_numa", "multi_node")

    def _index(self, node: SupportsIndex, name: str = "node") -> int:
        wanted = arguments.integer(name, node, arguments.NODE)
        try:
            return self._by_id[wanted]
        except KeyError:
            raise no_such_node(wanted, self._by_id) from None

    @renamed.parameters(node_id="node")
    def node(self, node: SupportsIndex) -> NumaNode:
        """Return the node with that id.

        Raises
        ------
        NodeNotFoundError
            The node does not exist; the message lists the nodes that do.
        """
        return self.nodes[self._index(node)]

    def distance(self, from_node: SupportsIndex, to_node: SupportsIndex) -> int:
        """Return the distance from one node to another, in SLIT units (10 is local).

        Raises
        ------
        NodeNotFoundError
            One of them does not exist.
        """
        row = self._index(from_node, "from_node")
        return self.distance_matrix[row][self._index(to_node, "to_node")]

    def node_of_cpu(self, cpu: SupportsIndex) -> int | None:
        """Return the node that a CPU belongs to; None for a CPU that is offline or does not exist.

        Where several nodes claim the CPU, the one with the lowest id is meant.
        """
        wanted = arguments.integer("cpu", cpu)
        return self._core.node_of_cpu(wanted) if 0 <= wanted < 2**31 else None

    @renamed.parameters(node_id="node")
    def nearest(self, node: SupportsIndex) -> tuple[int, ...]:
        """Return the usable nodes by distance from a node, then by id; itself first if usable.

        Usable nodes have memory, and this process is allowed to take it. Where you name no node,
        or the one you name is full, memory comes from :attr:`default_node_ids` only.

        Raises
        ------
        NodeNotFoundError
            The node does not exist.
        """
        return self._core.nearest(self.nodes[self._index(node)].node_id)

    def to_dict(self) -> dict[str, Any]:
        """Return the topology, apart from the devices, as a dictionary fit for JSON."""
        return {
            "multi_node": self.multi_node,
            "is_numa": self.multi_node,  # its old name, for one release
            "allowed_node_ids": list(self.allowed_node_ids),
            "default_node_ids": list(self.default_node_ids),
            "distances_assumed": self.distances_assumed,
            "distance_matrix": [list(row) for row in self.distance_matrix],
            "nodes": [node.to_dict() for node in self.nodes],
            "packages": [one.to_dict() for one in self.packages],
            "last_level_caches": [one.to_dict() for one in self.last_level_caches],
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        from numapool.machine.topology_html import topology_html

        return topology_html(self)

    def __reduce__(self) -> tuple[Any, ...]:  # a copy elsewhere has the same contents
        return _unpickled, (self._core, self._root, self._devices, self._groups())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NumaTopology):
            return NotImplemented
        return self is other or (
            self.nodes == other.nodes
            and self.distance_matrix == other.distance_matrix
            and self.distances_assumed == other.distances_assumed
            and self.allowed_node_ids == other.allowed_node_ids
            and self.default_node_ids == other.default_node_ids
        )

    def __hash__(self) -> int:
        return hash((self.nodes, self.distance_matrix, self.allowed_node_ids))

    def __repr__(self) -> str:
        nodes = ", ".join(
            f"{node.node_id}: {_memory_text(node.total_memory_bytes)}, {len(node.cpu_cores)} CPUs"
            for node in self.nodes
        )
        where = "" if self._root == "/" else f" of {self._root!r}"
        return f"<NumaTopology{where} ({nodes})>"


# The last one returned, so that a second call gets the same object.
_handed_out: list[NumaTopology] = []


def current_topology() -> NumaTopology:
    """Return the running machine's nodes as they are now; one object as long as nothing changes.

    It costs a look at a few small files: nodes that came or went, CPUs, and what this process may
    use are noticed. How much memory a node has may be older; :meth:`NumaTopology.detect` reads
    everything.

    Raises
    ------
    OSError
        The system has no descriptors or memory left to read it.
    """
    return _of(_core.topology_now())


def known_topology() -> NumaTopology:
    """Return the running machine's nodes as they were last looked at, without a look."""
    return _of(_core.current_topology())


def _of(core: _core.Topology) -> NumaTopology:
    last = _handed_out[-1] if _handed_out else None
    if last is not None and last._core is core:
        return last
    _warn_of_default_nodes(core)
    made = NumaTopology(core, "/")
    _handed_out[:] = [made]
    return made


def _default_words(value: DefaultNodes | None) -> str | None:
    """Return the words for the core."""
    if value is None or isinstance(value, str):
        return value
    takes = 'ids of nodes, or text such as "0-1,4", "!2" or "all"'
    if isinstance(value, Iterable):
        ids = [arguments.node("each of default_nodes", one) for one in value]
    else:
        ids = [arguments.node("default_nodes", value, takes)]
    if not ids:
        raise ValueError(arguments.must_be("default_nodes", takes, value))
    return ids_text(ids)


def _warn_of_default_nodes(core: _core.Topology) -> None:
    problem = core.default_nodes_problem()
    if problem is not None:
        warn_once("default nodes", problem, 4)


def _memory_text(size_bytes: int | None) -> str:
    return "unknown memory" if size_bytes is None else size_text(size_bytes)


def _unpickled(
    core: _core.Topology, root: str, devices: DeviceList, groups: CpuGroups
) -> NumaTopology:
    topology = NumaTopology(core, root)
    topology._devices = devices
    topology._cpu_groups = groups
    return topology

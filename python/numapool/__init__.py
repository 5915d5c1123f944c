"""Memory that lives where the program says: NUMA-placed buffers, zero copy into NumPy."""

import sys as _sys

from numapool.base.errors import (
    NodeNotFoundError,
    NumapoolError,
    PlacementError,
    PlacementWarning,
    PoolExhaustedError,
    StorageError,
    TopologyError,
    UnsupportedError,
)

# True to type checkers, as the one of typing is: loading typing takes longer than loading the core.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from numapool._core import NodeBuffer, PinnedRange, __version__
    from numapool.arrays.arrow import arrow_buffer
    from numapool.arrays.creation import asarray, empty, full, zeros
    from numapool.arrays.numpy_allocator import numpy_allocator, set_numpy_allocator
    from numapool.balloon.driver import BalloonDriver
    from numapool.balloon.report import BalloonState, ReleaseReport
    from numapool.base.arguments import SizeLike
    from numapool.machine.cpu_groups import CpuPackage, LastLevelCache
    from numapool.machine.device_search import (
        DeviceLocality,
        DeviceStep,
        device_locality,
        device_node,
    )
    from numapool.machine.devices import Device
    from numapool.machine.hypervisor import HypervisorInfo, detect_hypervisor
    from numapool.machine.node_set import NodeLike, NodeSet, NodesLike, nodes
    from numapool.machine.topology import NumaNode, NumaTopology, current_topology
    from numapool.memory.allocator import NumaAllocator, PageSize
    from numapool.memory.memory_policy import memory_policy
    from numapool.memory.migration import MigrationReport, migrate
    from numapool.memory.object_memory import placement_of
    from numapool.memory.placement import AllocationStep, Placement
    from numapool.memory.shared import SharedNodeBuffer
    from numapool.metrics.collector import MetricsCollector
    from numapool.metrics.published_pools import publish_pools
    from numapool.pools.default_pool import default_pool
    from numapool.pools.pool import BufferPool, PoolCounts, PoolStatistics
    from numapool.pools.reservation import Reservation
    from numapool.pools.ring import BufferRing
    from numapool.pressure.monitor import PressureMonitor
    from numapool.pressure.policy import (
        PressureEvent,
        PressureLevel,
        PressurePolicy,
        PressureSource,
        PressureStatistics,
    )
    from numapool.pressure.reading import NodeSupply, PressureReading
    from numapool.pressure.subscribers import EventStream, Subscription
    from numapool.probes.capabilities import capabilities
    from numapool.probes.capability import Capability
    from numapool.processes.children import bound_node, children_on
    from numapool.processes.inspect import ProcessPlacement, process_placement
    from numapool.processes.launch import LaunchResult, launch
    from numapool.processes.migrate import ProcessMigration, migrate_process
    from numapool.processes.pool import NodeProcessPool
    from numapool.storage.many import ReadManyResult, ShortRead, read_many, read_many_async
    from numapool.storage.stream import FileStream, StreamBlock, stream
    from numapool.storage.transfer import (
        TransferResult,
        read_into,
        read_into_async,
        readv,
        write_from,
        writev,
    )
    from numapool.threads.affinity import CpuPlacement
    from numapool.threads.executor import NodeExecutor
    from numapool.threads.running import ProcessBinding, bind_process, run_on

__all__ = [
    "AllocationStep",
    "BalloonDriver",
    "BalloonState",
    "BufferPool",
    "BufferRing",
    "Capability",
    "CpuPackage",
    "CpuPlacement",
    "Device",
    "DeviceLocality",
    "DeviceStep",
    "EventStream",
    "FileStream",
    "HypervisorInfo",
    "LastLevelCache",
    "LaunchResult",
    "MetricsCollector",
    "MigrationReport",
    "NodeBuffer",
    "NodeExecutor",
    "NodeLike",
    "NodeNotFoundError",
    "NodeProcessPool",
    "NodeSet",
    "NodeSupply",
    "NodesLike",
    "NumaAllocator",
    "NumaNode",
    "NumaTopology",
    "NumapoolError",
    "PageSize",
    "PinnedRange",
    "Placement",
    "PlacementError",
    "PlacementWarning",
    "PoolCounts",
    "PoolExhaustedError",
    "PoolStatistics",
    "PressureEvent",
    "PressureLevel",
    "PressureMonitor",
    "PressurePolicy",
    "PressureReading",
    "PressureSource",
    "PressureStatistics",
    "ProcessBinding",
    "ProcessMigration",
    "ProcessPlacement",
    "ReadManyResult",
    "ReleaseReport",
    "Reservation",
    "SharedNodeBuffer",
    "ShortRead",
    "SizeLike",
    "StorageError",
    "StreamBlock",
    "Subscription",
    "TopologyError",
    "TransferResult",
    "UnsupportedError",
    "__version__",
    "arrow_buffer",
    "asarray",
    "bind_process",
    "bound_node",
    "capabilities",
    "children_on",
    "current_topology",
    "default_pool",
    "detect_hypervisor",
    "device_locality",
    "device_node",
    "empty",
    "full",
    "launch",
    "memory_policy",
    "migrate",
    "migrate_process",
    "nodes",
    "numpy_allocator",
    "placement_of",
    "process_placement",
    "publish_pools",
    "read_into",
    "read_into_async",
    "read_many",
    "read_many_async",
    "readv",
    "run_on",
    "set_numpy_allocator",
    "stream",
    "write_from",
    "writev",
    "zeros",
]

# The names of each module.
_LATE = {
    "_core": "NodeBuffer PinnedRange __version__",
    "arrays.arrow": "arrow_buffer",
    "arrays.creation": "asarray empty full zeros",
    "arrays.numpy_allocator": "numpy_allocator set_numpy_allocator",
    "balloon.driver": "BalloonDriver",
    "balloon.report": "BalloonState ReleaseReport",
    "machine.cpu_groups": "CpuPackage LastLevelCache",
    "machine.device_search": "DeviceLocality DeviceStep device_locality device_node",
    "machine.devices": "Device",
    "machine.hypervisor": "HypervisorInfo detect_hypervisor",
    "machine.node_set": "NodeLike NodeSet NodesLike nodes",
    "machine.topology": "NumaNode NumaTopology current_topology",
    "base.arguments": "SizeLike",
    "memory.allocator": "NumaAllocator PageSize",
    "memory.memory_policy": "memory_policy",
    "memory.migration": "MigrationReport migrate",
    "memory.object_memory": "placement_of",
    "memory.placement": "AllocationStep Placement",
    "memory.shared": "SharedNodeBuffer",
    "metrics.collector": "MetricsCollector",
    "metrics.published_pools": "publish_pools",
    "pools.default_pool": "default_pool",
    "pools.pool": "BufferPool PoolCounts PoolStatistics",
    "pools.reservation": "Reservation",
    "pools.ring": "BufferRing",
    "pressure.monitor": "PressureMonitor",
    "pressure.policy": "PressureEvent PressureLevel PressurePolicy PressureSource "
    "PressureStatistics",
    "pressure.reading": "NodeSupply PressureReading",
    "pressure.subscribers": "EventStream Subscription",
    "probes.capabilities": "capabilities",
    "probes.capability": "Capability",
    "processes.children": "bound_node children_on",
    "processes.inspect": "ProcessPlacement process_placement",
    "processes.launch": "LaunchResult launch",
    "processes.migrate": "ProcessMigration migrate_process",
    "processes.pool": "NodeProcessPool",
    "storage.many": "ReadManyResult ShortRead read_many read_many_async",
    "storage.stream": "FileStream StreamBlock stream",
    "storage.transfer": "TransferResult read_into read_into_async readv write_from writev",
    "threads.affinity": "CpuPlacement",
    "threads.executor": "NodeExecutor",
    "threads.running": "ProcessBinding bind_process run_on",
}
_MODULES = {name: module for module, names in _LATE.items() for name in names.split()}

# Modules that load more of the standard library than the others together: each is loaded when one
# of its own names is first used.
_COSTLY = frozenset(
    (
        "arrays.numpy_allocator",
        "memory.shared",
        "metrics.collector",
        "probes.capabilities",
        "processes.launch",
        "processes.pool",
        "threads.executor",
    )
)

# Names that go with the next release, and the new ones.
_RENAMED = {
    "BufferHold": "PinnedRange",
    "MoveReport": "MigrationReport",
    "Transferred": "TransferResult",
    "move": "migrate",
}


if not TYPE_CHECKING:  # to a type checker, only what is listed is there

    def __getattr__(name: str) -> object:
        if name in _RENAMED:
            from numapool.base import renamed

            renamed.warn_of(f"numapool.{name}", f"numapool.{_RENAMED[name]}")
            name = _RENAMED[name]
        if name not in _MODULES:
            raise AttributeError(f"module 'numapool' has no attribute {name!r}")
        if name not in globals():
            _load(_MODULES[name])
        return globals()[name]


def __dir__() -> list[str]:
    return sorted(__all__)


def _load(wanted: str) -> None:
    """Load a module, and all that are not costly.

    All at once: a process may later run out of descriptors, or give up the right to read files.
    """
    from importlib import import_module

    for module, names in _LATE.items():
        if module == wanted or module not in _COSTLY:
            loaded = import_module(f"numapool.{module}")
            for one in names.split():  # what somebody has put in the place of a name stays
                globals().setdefault(one, getattr(loaded, one))


def _is_quick_command() -> bool:
    """Whether this is a command that loads what it needs of the core by itself, and no more.

    `numapool run` becomes another program; `numapool info` reads files and ends.
    """
    started: list[str] = getattr(_sys, "argv", [])
    return started[1:2] in (["run"], ["info"]) and started[0].endswith(("numapool", "-m"))


if not _is_quick_command():
    # A core that cannot be loaded is an error of the import, for programs that go on without it.
    import numapool._core  # noqa: F401

del TYPE_CHECKING

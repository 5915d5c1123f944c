"""Memory that lives where the program says: NUMA-placed buffers, zero copy into NumPy."""

import typing as _typing

from numapool._core import BufferHold, NodeBuffer, __version__
from numapool.affinity import CpuPlacement
from numapool.allocator import NumaAllocator
from numapool.arrays import asarray, empty, full, zeros
from numapool.arrow import arrow_buffer
from numapool.balloon import BalloonDriver
from numapool.balloon_report import BalloonState, ReleaseReport
from numapool.capability import Capability, capabilities
from numapool.devices import Device, DeviceLocality, DeviceStep, device_locality, device_node
from numapool.errors import (
    NodeNotFoundError,
    NumapoolError,
    PlacementError,
    PlacementWarning,
    PoolExhaustedError,
    StorageError,
    TopologyError,
    UnsupportedError,
)
from numapool.extents import placement_of
from numapool.hypervisor import HypervisorInfo, detect_hypervisor
from numapool.moving import MoveReport, move
from numapool.placement import AllocationStep, Placement
from numapool.policy import memory_policy
from numapool.pool import BufferPool, PoolCounts, PoolStatistics
from numapool.pressure import PressureMonitor
from numapool.pressure_policy import (
    PressureEvent,
    PressureLevel,
    PressurePolicy,
    PressureSource,
    PressureStatistics,
)
from numapool.pressure_reading import NodeSupply, PressureReading
from numapool.publishing import publish_pools
from numapool.ring import BufferRing
from numapool.running import ProcessBinding, bind_process, run_on
from numapool.storage import Transferred, read_into, readv, write_from, writev
from numapool.streaming import FileStream, StreamBlock, stream
from numapool.subscription import EventStream, Subscription
from numapool.topology import NumaNode, NumaTopology, current_topology

if _typing.TYPE_CHECKING:
    from numapool.executor import NodeExecutor
    from numapool.metrics import MetricsCollector
    from numapool.numpy_memory import numpy_allocator, set_numpy_allocator
    from numapool.shared import SharedNodeBuffer

__all__ = [
    "AllocationStep",
    "BalloonDriver",
    "BalloonState",
    "BufferHold",
    "BufferPool",
    "BufferRing",
    "Capability",
    "CpuPlacement",
    "Device",
    "DeviceLocality",
    "DeviceStep",
    "EventStream",
    "FileStream",
    "HypervisorInfo",
    "MetricsCollector",
    "MoveReport",
    "NodeBuffer",
    "NodeExecutor",
    "NodeNotFoundError",
    "NodeSupply",
    "NumaAllocator",
    "NumaNode",
    "NumaTopology",
    "NumapoolError",
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
    "ReleaseReport",
    "SharedNodeBuffer",
    "StorageError",
    "StreamBlock",
    "Subscription",
    "TopologyError",
    "Transferred",
    "UnsupportedError",
    "__version__",
    "arrow_buffer",
    "asarray",
    "bind_process",
    "capabilities",
    "current_topology",
    "detect_hypervisor",
    "device_locality",
    "device_node",
    "empty",
    "full",
    "memory_policy",
    "move",
    "numpy_allocator",
    "placement_of",
    "publish_pools",
    "read_into",
    "readv",
    "run_on",
    "set_numpy_allocator",
    "stream",
    "write_from",
    "writev",
    "zeros",
]

# What loads more of the standard library than an import should cost, by the module that has it.
_LATE = {
    "MetricsCollector": "numapool.metrics",
    "NodeExecutor": "numapool.executor",
    "SharedNodeBuffer": "numapool.shared",
    "numpy_allocator": "numapool.numpy_memory",
    "set_numpy_allocator": "numapool.numpy_memory",
}


if not _typing.TYPE_CHECKING:  # to a type checker, only what is listed is there

    def __getattr__(name: str) -> object:
        if name not in _LATE:
            raise AttributeError(f"module 'numapool' has no attribute {name!r}")
        from importlib import import_module

        value: object = getattr(import_module(_LATE[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

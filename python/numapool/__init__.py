"""Memory that lives where the program says: NUMA-placed buffers, zero copy into NumPy."""

from numapool._core import NodeBuffer, __version__
from numapool.allocator import NumaAllocator
from numapool.arrays import asarray, empty, full, zeros
from numapool.balloon import BalloonDriver
from numapool.balloon_report import BalloonState, ReleaseReport
from numapool.errors import (
    NodeNotFoundError,
    NumapoolError,
    PlacementError,
    PlacementWarning,
    PoolExhaustedError,
    TopologyError,
    UnsupportedError,
)
from numapool.hypervisor import HypervisorInfo, detect_hypervisor
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
from numapool.ring import BufferRing
from numapool.subscription import EventStream, Subscription
from numapool.topology import NumaNode, NumaTopology

__all__ = [
    "AllocationStep",
    "BalloonDriver",
    "BalloonState",
    "BufferPool",
    "BufferRing",
    "EventStream",
    "HypervisorInfo",
    "NodeBuffer",
    "NodeNotFoundError",
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
    "PressureSource",
    "PressureStatistics",
    "ReleaseReport",
    "Subscription",
    "TopologyError",
    "UnsupportedError",
    "__version__",
    "asarray",
    "detect_hypervisor",
    "empty",
    "full",
    "memory_policy",
    "zeros",
]

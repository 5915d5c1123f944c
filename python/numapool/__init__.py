"""Memory that lives where the program says: NUMA-placed buffers, zero copy into NumPy."""

from numapool._core import NodeBuffer, __version__
from numapool.allocator import NumaAllocator
from numapool.arrays import asarray, empty, full, zeros
from numapool.errors import (
    NodeNotFoundError,
    NumapoolError,
    PlacementError,
    PlacementWarning,
    PoolExhaustedError,
    TopologyError,
    UnsupportedError,
)
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
from numapool.subscription import EventStream, Subscription
from numapool.topology import NumaNode, NumaTopology

__all__ = [
    "AllocationStep",
    "BufferPool",
    "BufferRing",
    "EventStream",
    "NodeBuffer",
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
    "Subscription",
    "TopologyError",
    "UnsupportedError",
    "__version__",
    "asarray",
    "empty",
    "full",
    "memory_policy",
    "publish_pools",
    "zeros",
]

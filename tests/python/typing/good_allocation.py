"""Allocating memory and asking where it is."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import numapool as nump

alloc = nump.NumaAllocator()
assert_type(alloc.topology, nump.NumaTopology)
assert_type(alloc.numa_aware, bool)
first = alloc.topology.nearest(alloc.topology.nodes[0].node_id)[0]

buf = alloc.allocate(1 << 16, first, strict=False, page_size="base", populate=True, mlock=False)
assert_type(buf, nump.NodeBuffer)
assert_type(alloc.allocate(4096, [first, "local"]), nump.NodeBuffer)
assert_type(alloc.allocate(4096, {first}), nump.NodeBuffer)
assert_type(alloc.allocate(4096, nump.nodes("all")), nump.NodeBuffer)
assert_type(buf.nbytes, int)
assert_type(len(buf), int)
assert_type(buf.requested_node, int | None)
assert_type(buf.node_id, int | None)
assert_type(buf.step, nump.AllocationStep)
assert_type(buf.bound, bool)
assert_type(buf.placement(), nump.Placement)
assert_type(buf.placement().bytes_by_node, dict[int, int])
assert_type(buf.placement().resident_bytes, int)

assert_type(buf.as_array(), npt.NDArray[Any])
assert_type(buf.as_array(np.float32), npt.NDArray[np.float32])
assert_type(buf.as_array(np.dtype(np.int16), (2, 4)), npt.NDArray[np.int16])
assert_type(buf.migrate(first), nump.MigrationReport)
pages: nump.PageSize = "base"
size: nump.SizeLike = "64KiB"
assert_type(alloc.allocate(size, page_size=pages).nbytes, int)

view = memoryview(buf)
view[0] = 7
assert np.frombuffer(view, np.uint8)[0] == 7
assert bytes(buf)[0] == 7
view.release()
buf.close()

# Whatever counts as an integer will do: NumPy's scalars, for one.
with alloc.allocate(np.int64(4096), np.int64(first)) as counted:
    assert_type(counted, nump.NodeBuffer)
    assert counted.requested_node == first

spread = alloc.allocate_interleaved(1 << 16, nodes=(first,))
spread_by_default = alloc.allocate_interleaved(1 << 16)
assert_type(spread, nump.NodeBuffer)

match spread.step:
    case nump.AllocationStep.PREFERRED | nump.AllocationStep.NEAREST:
        pass
    case nump.AllocationStep.ANY:
        pass
    case nump.AllocationStep.UNBOUND:
        pass

try:
    alloc.allocate(1, 2**30)
except nump.NodeNotFoundError as error:
    caught: ValueError = error
    ours: nump.NumapoolError = error


def what_came_of(error: nump.PlacementError) -> int:
    assert_type(error.bytes_by_node, dict[int, int])
    return sum(error.bytes_by_node.values())


def more_than_there_is(error: MemoryError) -> bool:
    return not isinstance(error, nump.PlacementError)


def why_not(error: nump.UnsupportedError) -> int | None:
    return error.errno

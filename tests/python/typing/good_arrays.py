"""Making arrays on nodes."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import numapool as nump

node = nump.NumaTopology.detect().nearest(nump.NumaTopology.detect().nodes[0].node_id)[0]

assert_type(nump.empty(10), npt.NDArray[Any])
assert_type(nump.empty((2, 3), np.float32, "F", node=node, strict=False), npt.NDArray[Any])
assert_type(nump.zeros([4, 5], dtype="i4", page_size="base"), npt.NDArray[Any])
assert_type(nump.zeros(np.int64(3), allocator=nump.NumaAllocator()), npt.NDArray[Any])
assert_type(nump.full((2, 2), 1.5, node=node), npt.NDArray[Any])
assert_type(nump.asarray([[1, 2], [3, 4]], np.float64, node=node), npt.NDArray[Any])

# An array of any dtype goes where one of a certain dtype is wanted.
weights: npt.NDArray[np.float64] = nump.zeros(8)
image: np.ndarray[tuple[Any, ...], np.dtype[np.uint8]] = nump.full((4, 4, 3), 255, np.uint8)
assert float(weights.sum()) == 0.0
assert int(image[0, 0, 0]) == 255

with nump.BufferPool() as pool:
    pooled = nump.empty(1000, np.int16, pool=pool)
    assert_type(pooled, npt.NDArray[Any])
    copied = nump.asarray(range(3), pool=pool)
    filled = nump.full(3, 2, pool=pool, strict=False)
    assert copied.tolist() == [0, 1, 2]
    assert filled.tolist() == [2, 2, 2]
    del pooled, copied, filled

"""Results taken for what they are not: each marked line is reported, with that code."""

from __future__ import annotations

import numapool as nump

alloc = nump.NumaAllocator()
buf = alloc.allocate(4096)

# Where the system shows no pages, there is no node.
next_node = buf.node_id + 1  # E: operator
on_node: int = buf.node_id  # E: assignment
asked: int = buf.requested_node  # E: assignment
latency = alloc.topology.nodes[0].read_latency_ns / 2  # E: operator
cpu_node: int = alloc.topology.node_of_cpu(0)  # E: assignment
rate: float = nump.BufferPool().statistics().total.hit_rate  # E: assignment

# What is read is not to be set.
buf.nbytes = 1  # E: misc
buf.step = nump.AllocationStep.ANY  # E: misc
alloc.topology.nodes[0].node_id = 1  # E: misc
buf.placement().not_resident_bytes = 0  # E: misc
nump.BufferPool().max_bytes = 1  # E: misc
alloc.topology.nodes.append(alloc.topology.nodes[0])  # E: attr-defined
alloc.topology.distance_matrix[0][0] = 1  # E: index

# What there is not.
buf.free()  # E: attr-defined
nump.allocate(4096)  # E: attr-defined
if buf.step == "preferred":  # E: comparison-overlap
    pass
text: str = buf.step.name + buf.nbytes  # E: operator
pinned = buf.pinned  # E: attr-defined
further = nump.AllocationStep.FURTHEST  # E: attr-defined
buf.close().bit_length()  # E: func-returns-value, attr-defined

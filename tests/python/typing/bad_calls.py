"""Calls that cannot work: each marked line is reported, with that code."""

from __future__ import annotations

from typing import Any

import numapool as nump

alloc = nump.NumaAllocator()
pool = nump.BufferPool(alloc)
topo = nump.NumaTopology.detect()
buf = alloc.allocate(4096)

alloc.allocate(4096.0)  # E: arg-type
alloc.allocate(b"4 KiB")  # E: arg-type
alloc.allocate(4096, 0, True)  # E: call-arg
alloc.allocate(4096, page_size="huge")  # E: arg-type
alloc.allocate(4096, numa_node=0)  # E: call-arg
alloc.allocate()  # E: call-arg
alloc.allocate_interleaved(4096, 0.5)  # E: arg-type
alloc.allocate_interleaved(4096, [0], [1])  # E: arg-type

nump.BufferPool(max_bytes=1e9)  # E: arg-type
nump.BufferPool(4096)  # E: arg-type
pool.acquire(4096, block=1)  # E: arg-type
pool.acquire(4096, timeout_s="soon")  # E: arg-type
pool.reserve(4096, 2, progress=lambda done: None)  # E: arg-type, misc
pool.ring(4096)  # E: call-arg

nump.zeros((2, 3), node=0.0)  # E: arg-type
nump.zeros((2, 3), order="A")  # E: arg-type
nump.zeros(2.5)  # E: arg-type
nump.empty(3, pool=alloc)  # E: arg-type
nump.full(3, 1.0, nodes=[0])  # E: call-arg
nump.asarray([1], page_size="huge")  # E: arg-type

topo.node("0")  # E: arg-type
nump.NumaTopology.from_sysfs(0)  # E: arg-type
nump.memory_policy(0, mode="bind")  # E: arg-type
nump.children_on(0.0)  # E: arg-type
nump.NodeProcessPool(workers=2)  # E: call-arg
nump.Placement({}, 0, 0, 4096, "move_pages")  # E: call-arg
nump.NodeBuffer(4096)  # E: call-arg
buf.migrate()  # E: call-arg
buf.migrate(node=0)  # E: call-arg


class Mine(nump.NodeBuffer):  # E: misc
    anything: Any


nump.run_on(0.0)  # E: arg-type
nump.run_on(0, topo)  # E: call-arg
nump.bind_process(0.5)  # E: arg-type
nump.NodeExecutor()  # E: call-arg
nump.NodeExecutor(0, "2")  # E: arg-type
nump.NodeExecutor(0, workers=2)  # E: call-arg
nump.Capability("bind", True, "")  # E: call-arg

nump.read_into("file", "text")  # E: arg-type
nump.read_into("file", bytearray(1), 0, 1, False)  # E: call-arg
nump.read_many("file", 0, bytearray(1))  # E: arg-type
nump.read_many("file", [0], bytearray(1), 8)  # E: call-arg
nump.readv("file", bytearray(1))  # E: arg-type
nump.write_from("file", b"x", flush=True)  # E: call-arg
nump.stream("file", node=0.5)  # E: arg-type
nump.stream("file", 4096, 2, "near", pool, 0)  # E: call-arg
nump.StreamBlock(b"x", 0)  # E: arg-type

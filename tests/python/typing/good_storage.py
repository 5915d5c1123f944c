"""Reading and writing files past the page cache, and streaming them."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Literal, assert_type

import numpy as np

import numapool as nump

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "file"
    assert_type(nump.write_from(path, b"abc" * 5000, sync=True), nump.TransferResult)
    with nump.NumaAllocator().allocate(1 << 16) as buffer:
        done = nump.read_into(path, buffer, offset=4096, size_bytes=8192, direct=False)
        assert_type(done.nbytes, int)
        assert_type(done.way, Literal["direct", "buffered", "both"])
        assert_type(done.reason, str | None)
        nump.read_into(str(path), memoryview(buffer)[:10])
    nump.readv(path, [np.zeros(10, np.uint8), bytearray(10)], 100)
    many = nump.read_many(path, [0, "4KiB"], [bytearray(10), np.zeros(10, np.uint8)], depth=8)
    assert_type(many, nump.ReadManyResult)
    assert_type(many.engine, Literal["io_uring", "threads", "caller"])
    assert_type(many.short_reads, tuple[nump.ShortRead, ...])
    nump.read_many(path, np.arange(4), np.zeros((4, 512), np.uint8), direct=False)
    nump.writev(path, [b"a", np.ones(10)], truncate=True, direct=False)

    with nump.BufferPool() as pool, nump.stream(path, 4096, 2, node=None, pool=pool) as stream:
        assert_type(stream, nump.FileStream)
        assert_type(stream.node_id, int | None)
        for block in stream:
            assert_type(block, nump.StreamBlock)
            assert_type(block.buffer, nump.NodeBuffer)
            assert_type(block.offset, int)
            with block:
                assert block.nbytes == len(block.buffer)
    for block in nump.stream(path, node="near", offset=1, size_bytes=10, timeout_s=1.5):
        block.close()

    async def in_tasks() -> None:
        with nump.NumaAllocator().allocate(4096) as own:
            assert_type(await nump.read_into_async(path, own, 0, 1), nump.TransferResult)
            many = await nump.read_many_async(path, range(4), own)
            assert_type(many, nump.ReadManyResult)
        with nump.stream(path, 4096) as tasks_own:
            async for one in tasks_own:
                assert_type(one, nump.StreamBlock)
                one.close()

    asyncio.run(in_tasks())

try:
    nump.write_from("/dev/full", b"abc")
except nump.StorageError as error:
    assert_type(error.offset, int)
    failure: OSError = error

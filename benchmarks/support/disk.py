"""A large file on a disk, to read it again and again."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import numapool

_PIECE_BYTES = 64 << 20


@contextmanager
def file_on_disk(allocator: numapool.NumaAllocator, nbytes: int) -> Iterator[Path]:
    """Make a file of random numbers, gone again at the end; skip where there is no direct I/O.

    NUMAPOOL_BENCH_FOLDER says where, by default /var/tmp.
    """
    place = Path(os.environ.get("NUMAPOOL_BENCH_FOLDER", "/var/tmp"))
    if shutil.disk_usage(place).free < 2 * nbytes:
        pytest.skip(f"{place} has no room for {nbytes >> 30} GiB")
    with tempfile.TemporaryDirectory(dir=place) as folder:
        made = Path(folder) / "file"
        with allocator.allocate(_PIECE_BYTES) as buffer:
            for offset in range(0, nbytes, buffer.nbytes):
                block = np.frombuffer(memoryview(buffer), np.uint64)
                block[:] = np.random.default_rng(offset).integers(0, 2**63, len(block))
                del block
                way = numapool.write_from(made, buffer, offset, sync=True)
        if way.direct_bytes == 0:
            pytest.skip(f"no direct I/O in {place}: {way.reason}")
        yield made

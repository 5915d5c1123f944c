"""Files into node memory and back, by Windows' own calls: stretches, several buffers, streams."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

import numapool as nump

KIB = 1 << 10


def numbers(count: int) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    return np.arange(count, dtype=np.uint32)


def test_a_stretch_is_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with nump.NumaAllocator().allocate(256 * KIB) as buffer:
        values = np.frombuffer(buffer, np.uint32)
        values[:] = numbers(64 * KIB)
        assert nump.write_from(path, buffer).nbytes == 256 * KIB
        values[:] = 0
        for direct in (True, False):
            done = nump.read_into(
                path, buffer, offset=64 * KIB, size_bytes=128 * KIB, direct=direct
            )
            assert done.nbytes == 128 * KIB
            assert direct or done.way == "buffered"
            assert (values[: 32 * KIB] == numbers(64 * KIB)[16 * KIB : 48 * KIB]).all()
        del values
    assert path.stat().st_size == 256 * KIB


def test_several_buffers_and_an_end_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    parts = [bytes([1]) * 5000, bytes([2]) * 4096, bytes([3]) * 777]
    assert nump.writev(path, parts).nbytes == 9873
    into = [bytearray(5000), bytearray(4096), bytearray(10_000)]
    assert nump.readv(path, into).nbytes == 9873
    assert [bytes(into[0]), bytes(into[1]), bytes(into[2][:777])] == parts


def test_a_stream_brings_every_byte_in_order(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = numbers(300_000).tobytes()
    path.write_bytes(content)
    with nump.stream(path, 64 * KIB, depth=3) as stream:
        got = [(block.offset, bytes(memoryview(block.buffer))) for block in stream]
    assert b"".join(part for _, part in got) == content
    assert [offset for offset, _ in got] == list(range(0, len(content), 64 * KIB))


def test_errors_name_the_file(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    with pytest.raises(FileNotFoundError) as caught:
        nump.read_into(missing, bytearray(4096), offset=512)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == str(missing)


def test_the_volume_of_a_file_is_told_or_why_not(tmp_path: Path) -> None:
    found = nump.device_locality(tmp_path)
    assert found.node_id is not None or found.reason

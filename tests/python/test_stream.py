"""stream(): a file's blocks in order, read ahead, whatever becomes of file and consumer."""

from __future__ import annotations

import errno
import gc
import mmap
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import files

import numapool as nump

KIB, MIB = 1 << 10, 1 << 20
HELD = files.contents(2 * MIB + 777, seed=1)


@pytest.fixture(scope="module", params=["disk", "memory"])
def folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    if request.param == "disk":
        yield tmp_path_factory.mktemp("files")
        return
    if not files.SHARED_MEMORY.is_dir():
        pytest.skip("there is no /dev/shm here")
    with files.memory_folder() as made:
        yield made


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    made = folder / "held"
    made.write_bytes(HELD)
    return made


@pytest.fixture
def pool() -> Iterator[nump.BufferPool]:
    """A pool that has everything back when a test is over."""
    with nump.BufferPool() as made:
        yield made
        gc.collect()
        wait_for(lambda: made.statistics().total.in_use_bytes == 0)


def wait_for(done: object) -> None:
    """Threads that nobody waits for end soon: when the reads that are on their way do."""
    assert callable(done)
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.001)


def taken(stream: nump.FileStream, start: int = 0) -> bytes:
    """Read to the end; every block is where the one before ended."""
    parts = []
    for block in stream:
        assert block.offset == start
        assert block.nbytes == len(block.buffer) > 0
        parts.append(bytes(block.buffer))
        start += block.nbytes
    return b"".join(parts)


def test_every_byte_in_order(path: Path, pool: nump.BufferPool) -> None:
    with nump.stream(path, 256 * KIB, 3, pool=pool) as stream:
        assert stream.path == str(path)
        assert (stream.block_bytes, stream.block_count) == (256 * KIB, 4)
        assert pool.statistics().total.in_use_bytes == MIB
        assert taken(stream) == HELD
        assert stream.nbytes == len(HELD)
        if files.has_direct(path.parent):
            assert stream.direct_bytes >= len(HELD) // 4096 * 4096
            assert stream.reason is None
        else:
            assert (stream.direct_bytes, bool(stream.reason)) == (0, True)
        assert list(stream) == []
    assert stream.closed
    wait_for(lambda: files.open_descriptors(path) == 0)
    assert pool.statistics().total.in_use_bytes == 0


def test_defaults(path: Path) -> None:
    assert taken(nump.stream(path)) == HELD


@settings(max_examples=40, deadline=None)
@given(
    block=st.integers(1, 40).map(lambda n: n * 4096) | st.integers(3000, 100_000),
    depth=st.integers(1, 6),
    offset=st.integers(0, len(HELD) + 100) | st.integers(0, 500).map(lambda n: n * 4096),
    size=st.none() | st.integers(0, 300_000),
    direct=st.booleans(),
)
def test_any_stretch(
    path: Path, block: int, depth: int, offset: int, size: int | None, direct: bool
) -> None:
    if size is None:
        offset = max(offset, len(HELD) - 400_000)
    stream = nump.stream(path, block, depth, offset=offset, size_bytes=size, direct=direct)
    with stream:
        assert taken(stream, offset) == HELD[offset:][:size]


def test_blocks_are_arrays_without_a_copy(path: Path, pool: nump.BufferPool) -> None:
    with nump.stream(path, 64 * KIB, 2, pool=pool) as stream:
        block = next(stream)
        array = np.frombuffer(block.buffer, np.uint8)
        assert array.ctypes.data == block.buffer.address
        assert array.ctypes.data % 4096 == 0
        with pytest.raises(BufferError):
            block.close()
        del array
        block.close()
        with next(stream) as second:
            assert second.offset == 64 * KIB
        assert second.buffer.closed


def test_blocks_that_are_kept_stay_as_they_are(path: Path, pool: nump.BufferPool) -> None:
    with nump.stream(path, 64 * KIB, 4, pool=pool) as stream:
        kept = [next(stream), next(stream), next(stream)]
        rest = taken(stream, kept[-1].offset + kept[-1].nbytes)
        assert b"".join(bytes(block.buffer) for block in kept) + rest == HELD
    assert bytes(kept[1].buffer) == HELD[64 * KIB : 128 * KIB]
    del kept


def test_a_consumer_that_keeps_everything_is_told(path: Path, pool: nump.BufferPool) -> None:
    with nump.stream(path, 64 * KIB, 2, pool=pool) as stream:
        kept = [next(stream) for _ in range(3)]
        others = threading.active_count() - 1
        if not others:
            with pytest.raises(nump.PoolExhaustedError, match="all 3 blocks"):
                next(stream)
        del kept[1]
        assert next(stream).offset == 3 * 64 * KIB
        del kept
    with nump.stream(path, 64 * KIB, 2, pool=pool, timeout_s=0.01) as stream:
        kept = [next(stream) for _ in range(3)]
        with pytest.raises(nump.PoolExhaustedError, match="let go of them"):
            next(stream)
        del kept


def test_a_wait_for_other_threads_is_told_of(
    path: Path, pool: nump.BufferPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numapool.storage.stream._TELL_MS", 1)
    with nump.stream(path, 64 * KIB, 1, pool=pool) as stream:
        kept = [next(stream), next(stream)]
        seen: list[str] = []

        def let_go(message: str, *_: object, **__: object) -> None:
            seen.append(message)
            kept.pop(0)

        monkeypatch.setattr("numapool.storage.stream.warnings.warn", let_go)
        monkeypatch.setattr("numapool.storage.stream.threading.active_count", lambda: 2)
        assert next(stream).offset == 2 * 64 * KIB
        (message,) = seen
        assert "all 2 blocks of the stream are in use" in message
        assert repr(str(path)) in message
        kept.clear()


@pytest.mark.thread_unsafe(reason="looks for collections of the whole process")
def test_a_starved_stream_collects_no_garbage(path: Path, pool: nump.BufferPool) -> None:
    """In a program with a large heap that would take seconds, for each block."""
    runs: list[str] = []

    def note(phase: str, _: dict[str, int]) -> None:
        runs.append(phase)

    with nump.stream(path, 64 * KIB, 1, pool=pool, timeout_s=0) as stream:
        kept = [next(stream), next(stream)]
        gc.disable()
        gc.callbacks.append(note)
        try:
            with pytest.raises(nump.PoolExhaustedError, match="all 2 blocks"):
                next(stream)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(stream, "_timeout_s", None)
                patch.setattr("numapool.storage.stream.threading.active_count", lambda: 1)
                with pytest.raises(nump.PoolExhaustedError, match="all 2 blocks"):
                    next(stream)
        finally:
            gc.callbacks.remove(note)
            gc.enable()
        del kept
    assert runs == []


def test_blocks_in_cycles_come_back_when_they_are_collected(
    path: Path, pool: nump.BufferPool
) -> None:
    with nump.stream(path, 64 * KIB, 2, pool=pool, timeout_s=60) as stream:
        gc.disable()
        try:
            start = 0
            for _ in range(8):
                block = next(stream)
                assert block.offset == start
                start += block.nbytes
                cycle: list[object] = [block]
                cycle.append(cycle)
                del block, cycle
                if stream._core.starved():
                    gc.collect()
        finally:
            gc.enable()


def test_another_thread_gives_a_block_back(path: Path, pool: nump.BufferPool) -> None:
    with nump.stream(path, 64 * KIB, 1, pool=pool) as stream:
        kept = [next(stream), next(stream)]
        timer = threading.Timer(0.05, kept.clear)
        timer.start()
        assert next(stream).offset == 2 * 64 * KIB
        timer.join()


def test_a_small_file_can_be_listed(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(HELD[:10_000])
    blocks = list(nump.stream(path, 4096, 8))
    assert [block.nbytes for block in blocks] == [4096, 4096, 10_000 - 8192]
    path.write_bytes(b"")
    assert list(nump.stream(path)) == []


def test_closing_midway(path: Path, pool: nump.BufferPool) -> None:
    stream = nump.stream(path, 64 * KIB, 4, pool=pool)
    block = next(stream)
    stream.close()
    stream.close()
    wait_for(lambda: files.open_descriptors(path) == 0)  # of streams that others have dropped too
    with pytest.raises(ValueError, match="the stream is closed"):
        next(stream)
    assert bytes(block.buffer) == HELD[: 64 * KIB]
    assert pool.statistics().total.in_use_bytes != 0
    del block
    assert pool.statistics().total.in_use_bytes == 0
    assert "closed" in repr(stream)


def test_dropped_midway(path: Path, pool: nump.BufferPool) -> None:
    for _ in range(5):
        stream = nump.stream(path, 64 * KIB, 4, pool=pool)
        block = next(stream)
        del stream
        assert bytes(block.buffer) == HELD[: 64 * KIB]
        del block
    wait_for(lambda: files.open_descriptors(path) == 0)


def test_a_pool_that_is_closed_meanwhile(path: Path) -> None:
    pool = nump.BufferPool()
    stream = nump.stream(path, 64 * KIB, 4, pool=pool)
    pool.close()
    del pool
    assert taken(stream) == HELD


def test_a_pool_without_room(path: Path) -> None:
    with nump.BufferPool(max_bytes=MIB) as pool:
        with pytest.raises(nump.PoolExhaustedError):
            nump.stream(path, 512 * KIB, 3, pool=pool)
        wait_for(lambda: files.open_descriptors(path) == 0)
        assert taken(nump.stream(path, 256 * KIB, 3, pool=pool)) == HELD


def test_a_file_that_shrinks(folder: Path, pool: nump.BufferPool) -> None:
    """What is read by then is delivered; the end is where the file ends now."""
    path = folder / "shrinks"
    for left in (0, 100_000, 128 * KIB, 300_001):
        path.write_bytes(HELD)
        with nump.stream(path, 64 * KIB, 2, pool=pool) as stream:
            first = bytes(next(stream).buffer)
            os.truncate(path, left)
            got = first + taken(stream, 64 * KIB)
        assert HELD.startswith(got)
        assert len(got) >= min(left, len(HELD))
        assert len(got) < len(HELD)


def test_a_file_that_grows(folder: Path, pool: nump.BufferPool) -> None:
    path = folder / "grows"
    path.write_bytes(HELD[:300_000])
    with nump.stream(path, 64 * KIB, 2, pool=pool) as stream:
        first = bytes(next(stream).buffer)
        with path.open("ab") as file:
            file.write(HELD[300_000:])
        assert first + taken(stream, 64 * KIB) == HELD


def test_what_does_not_tell_its_size() -> None:
    stream = nump.stream("/proc/self/environ", 4096)
    assert taken(stream) == Path("/proc/self/environ").read_bytes()
    zeros = nump.stream("/dev/zero", 4096, size_bytes=10_000)
    assert taken(zeros) == bytes(10_000)


def test_a_failure_comes_in_its_turn(pool: nump.BufferPool) -> None:
    """Below the lowest mapping of a process nothing can be read: the file fails there."""
    low = 4096 * 4
    with nump.stream("/proc/self/mem", 4096, 3, offset=low, pool=pool) as stream:
        with pytest.raises(nump.StorageError, match=f"offset {low}") as error:
            next(stream)
        assert error.value.errno == errno.EIO
        assert (error.value.offset, error.value.filename) == (low, "/proc/self/mem")
        with pytest.raises(StopIteration):
            next(stream)


def test_bytes_before_a_failure_are_delivered(tmp_path: Path, pool: nump.BufferPool) -> None:
    """Memory whose file was cut short cannot be read from there on."""
    path = tmp_path / "cut"
    page = mmap.PAGESIZE
    path.write_bytes(HELD[: 8 * page])
    with path.open("r+b") as file:
        pages = mmap.mmap(file.fileno(), 8 * page)
    start = np.frombuffer(pages, np.uint8).ctypes.data
    os.truncate(path, 5 * page)
    got = b""
    source = Path("/proc/self/mem")
    with nump.stream(source, 2 * page, 1, pool=pool, offset=start, size_bytes=8 * page) as stream:
        with pytest.raises(nump.StorageError) as error:
            for block in stream:
                got += bytes(block.buffer)
        del block
    assert got == HELD[: 5 * page]
    assert error.value.offset == start + 5 * page


def test_missing_folder_pipe(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        nump.stream(folder / "nowhere")
    assert missing.value.filename == str(folder / "nowhere")
    with pytest.raises(IsADirectoryError) as is_folder:
        nump.stream(folder)
    assert is_folder.value.filename == str(folder)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError) as error:
        nump.stream(tmp_path / "pipe")
    assert error.value.errno == errno.ESPIPE


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"block_bytes": 0}, ValueError),
        ({"block_bytes": 2**63}, ValueError),
        ({"block_bytes": 4096.0}, TypeError),
        ({"depth": 0}, ValueError),
        ({"depth": 257}, ValueError),
        ({"node": "far"}, ValueError),
        ({"node": 99}, nump.NodeNotFoundError),
        ({"node": 1.5}, TypeError),
        ({"offset": -1}, ValueError),
        ({"size_bytes": -1}, ValueError),
        ({"timeout_s": -1.0}, ValueError),
        ({"timeout_s": float("nan")}, ValueError),
        ({"path": b"x"}, TypeError),
    ],
)
def test_bad_arguments(path: Path, arguments: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        nump.stream(**({"path": path} | arguments))  # type: ignore[arg-type]
    wait_for(lambda: files.open_descriptors(path) == 0)


def test_where_the_blocks_are(path: Path, pool: nump.BufferPool, node: int) -> None:
    with nump.stream(path, node=node, pool=pool) as stream:
        assert stream.node_id == node
        block = next(stream)
        assert block.buffer.node_id == node
        assert set(block.buffer.placement().bytes_by_node) <= {node}
        del block
    assert taken(nump.stream(path, node=None, pool=pool)) == HELD


def test_many_threads_share_a_stream(path: Path, pool: nump.BufferPool) -> None:
    got = bytearray(len(HELD))
    with nump.stream(path, 16 * KIB, 4, pool=pool) as stream:

        def work() -> None:
            for block in stream:
                got[block.offset : block.offset + block.nbytes] = bytes(block.buffer)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == HELD

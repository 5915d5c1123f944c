"""read_into and its kin: every byte, the way it went, and errors that say where."""

from __future__ import annotations

import errno
import fcntl
import itertools
import mmap
import os
import pickle
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import child, files

import numapool as nump

KIB, MIB = 1 << 10, 1 << 20
HELD = files.contents(300_001)


@pytest.fixture(scope="module", params=["disk", "memory"])
def folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder on this machine's disk, which mostly has direct I/O, and one in memory without."""
    with files.folder_of(request.param, tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    made = folder / "held"
    made.write_bytes(HELD)
    return made


@pytest.fixture(scope="module")
def buffer() -> nump.NodeBuffer:
    return nump.NumaAllocator().allocate(512 * KIB)


def view(buffer: nump.NodeBuffer) -> memoryview:
    return memoryview(buffer)


def test_the_whole_file(path: Path, buffer: nump.NodeBuffer) -> None:
    done = nump.read_into(path, buffer)
    assert done.nbytes == len(HELD)
    assert bytes(view(buffer)[: len(HELD)]) == HELD
    assert done.buffered_bytes == done.nbytes - done.direct_bytes
    if files.has_direct(path.parent):
        assert done.direct_bytes >= len(HELD) // 4096 * 4096
        assert done.way in ("direct", "both")
        assert done.reason is None
    else:
        assert done.way == "buffered"
        assert done.reason


def test_the_page_cache_on_demand(path: Path, buffer: nump.NodeBuffer) -> None:
    done = nump.read_into(path, buffer, direct=False)
    assert (done.nbytes, done.direct_bytes, done.way) == (len(HELD), 0, "buffered")
    assert done.reason == "the caller asked for the page cache"


def test_an_address_that_does_not_fit(path: Path, buffer: nump.NodeBuffer) -> None:
    odd = view(buffer)[1 : 100 * KIB + 1]
    done = nump.read_into(path, odd)
    assert bytes(odd) == HELD[: 100 * KIB]
    assert done.way == "buffered"
    assert done.reason


@settings(max_examples=80, deadline=None)
@given(
    offset=st.integers(0, len(HELD) + 5000) | st.integers(0, 80).map(lambda n: n * 4096),
    size=st.integers(0, 400_000) | st.integers(0, 90).map(lambda n: n * 4096),
    begin=st.integers(0, 5000) | st.integers(0, 8).map(lambda n: n * 512),
)
def test_any_stretch(
    path: Path, buffer: nump.NodeBuffer, offset: int, size: int, begin: int
) -> None:
    place = view(buffer)[begin : begin + size + 16]
    place[:] = b"." * len(place)
    done = nump.read_into(path, place, offset, size)
    expected = HELD[offset : offset + size]
    assert done.nbytes == len(expected)
    assert bytes(place) == expected + b"." * (len(place) - len(expected))


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9000) | st.integers(0, 6).map(lambda n: n * 4096), max_size=9),
    offset=st.integers(0, 20_000) | st.integers(0, 8).map(lambda n: n * 4096),
)
def test_several_buffers(path: Path, folder: Path, sizes: list[int], offset: int) -> None:
    arrays = [np.zeros(size, np.uint8) for size in sizes]
    done = nump.readv(path, arrays, offset)
    assert done.nbytes == sum(sizes)
    assert b"".join(array.tobytes() for array in arrays) == HELD[offset : offset + sum(sizes)]
    copy = folder / "copy"
    written = nump.writev(copy, arrays, offset, truncate=True)
    assert written.nbytes == sum(sizes)
    if sum(sizes):
        assert copy.read_bytes() == bytes(offset) + HELD[offset : offset + sum(sizes)]


def test_aligned_buffers_go_in_one_piece(path: Path) -> None:
    if not files.has_direct(path.parent):
        pytest.skip("no direct I/O here")
    with nump.BufferPool() as pool, pool.ring(8 * KIB, 4) as ring:
        blocks = [ring.acquire() for _ in range(4)]
        assert nump.readv(path, blocks, 4096).way == "direct"
        assert b"".join(bytes(view(block)) for block in blocks) == HELD[4096 : 36 * KIB]
        del blocks


def test_what_is_written_is_there(folder: Path, buffer: nump.NodeBuffer) -> None:
    path = folder / "written"
    view(buffer)[: len(HELD)] = HELD
    done = nump.write_from(path, buffer, 0, len(HELD), sync=True)
    assert done.nbytes == len(HELD)
    assert path.read_bytes() == HELD
    if files.has_direct(folder):
        assert done.direct_bytes >= len(HELD) // 4096 * 4096
    nump.write_from(path, b"abc", 10)
    assert path.read_bytes() == HELD[:10] + b"abc" + HELD[13:]
    nump.write_from(path, b"new", truncate=True)
    assert path.read_bytes() == b"new"
    assert nump.write_from(path, b"").nbytes == 0


def test_both_ways_see_one_file(folder: Path, buffer: nump.NodeBuffer) -> None:
    """What one way has written the other reads, whatever the page cache holds."""
    path = folder / "mixed"
    for mark in b"ab":
        for direct in (True, False):
            view(buffer)[: 64 * KIB] = bytes([mark + direct]) * (64 * KIB)
            nump.write_from(path, buffer, 0, 64 * KIB, direct=direct)
            for way in (True, False):
                view(buffer)[: 64 * KIB] = bytes(64 * KIB)
                assert nump.read_into(path, buffer, direct=way).nbytes == 64 * KIB
                assert set(bytes(view(buffer)[: 64 * KIB])) == {mark + direct}


def test_missing_folder_unreadable(folder: Path, buffer: nump.NodeBuffer) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        nump.read_into(folder / "nowhere", buffer)
    assert missing.value.filename == str(folder / "nowhere")
    for call in (nump.read_into, nump.write_from):
        with pytest.raises(IsADirectoryError) as is_folder:
            call(folder, buffer)
        assert is_folder.value.filename == str(folder)
    with pytest.raises(FileNotFoundError):
        nump.write_from(folder / "no" / "where", b"x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(path: Path, buffer: nump.NodeBuffer) -> None:
    path.chmod(0)
    try:
        with pytest.raises(PermissionError) as error:
            nump.read_into(path, buffer)
        assert error.value.filename == str(path)
    finally:
        path.chmod(0o600)


def test_pipes_and_sockets_are_refused_at_once(tmp_path: Path) -> None:
    pipe, place = tmp_path / "pipe", tmp_path / "socket"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place))
        for path in (pipe, place):
            with pytest.raises(OSError) as error:
                nump.read_into(path, bytearray(1))
            assert error.value.errno == errno.ESPIPE


def test_a_device_without_an_end() -> None:
    zeros = bytearray(b"x" * 9000)
    assert nump.read_into("/dev/zero", zeros, 5).nbytes == 9000
    assert zeros == bytes(9000)
    with pytest.raises(nump.StorageError) as full:
        nump.write_from("/dev/full", b"abc", 7)
    assert (full.value.errno, full.value.offset) == (errno.ENOSPC, 7)


def middle_of_the_largest_gap() -> int:
    """Return an address of this process where no mapping is, nor will be soon."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    mapped = [[int(end, 16) for end in line.split()[0].split("-")] for line in lines]
    low = [one for one in mapped if one[1] <= 1 << 47]  # above it is the kernel's
    gaps = [(after[0] - before[1], before[1]) for before, after in itertools.pairwise(low)]
    length, start = max(gaps)
    return start + length // 2 // mmap.PAGESIZE * mmap.PAGESIZE


def test_a_failure_midway_says_where(tmp_path: Path, buffer: nump.NodeBuffer) -> None:
    """A file in /proc whose bytes are this process's memory: unmapped addresses cannot be read."""
    pages = mmap.mmap(-1, 64 * KIB)
    address = np.frombuffer(pages, np.uint8).ctypes.data
    hole = middle_of_the_largest_gap()
    assert nump.read_into("/proc/self/mem", buffer, address, 4096).nbytes == 4096
    with pytest.raises(nump.StorageError, match=f"at offset {hole}") as error:
        nump.read_into("/proc/self/mem", buffer, hole, 4096)
    assert error.value.errno == errno.EIO
    assert error.value.offset == hole
    assert error.value.filename == "/proc/self/mem"


def test_a_limit_on_file_sizes(tmp_path: Path) -> None:
    path = tmp_path / "limited"
    out = child.check(
        f"""
        import resource, numapool as nump
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        for direct in (True, False):
            try:
                nump.write_from({str(path)!r}, bytes(200_000), direct=direct, truncate=True)
            except nump.StorageError as error:
                print(error.errno, error.offset, error.filename == {str(path)!r})
        """
    )
    assert out.splitlines() == [f"{errno.EFBIG} 100000 True"] * 2
    assert path.stat().st_size == 100_000


def test_an_error_survives_pickling() -> None:
    with pytest.raises(nump.StorageError) as caught:
        nump.write_from("/dev/full", b"abc", 7)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (str(error), error.offset) == (str(caught.value), 7)
    assert error.filename == "/dev/full"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"offset": -1}, ValueError),
        ({"offset": 2**63}, ValueError),
        ({"offset": 1.0}, TypeError),
        ({"size_bytes": -1}, ValueError),
        ({"size_bytes": 11}, ValueError),
        ({"buffer": b"readonly"}, BufferError),
        ({"buffer": np.zeros((4, 4))[:, 1]}, (BufferError, ValueError)),
        ({"buffer": np.zeros((4, 4))[:, 1], "size_bytes": 1}, BufferError),
        ({"buffer": 5}, TypeError),
        ({"path": b"bytes"}, TypeError),
        ({"path": "nul\0l"}, ValueError),
        ({"path": 3}, TypeError),
    ],
)
def test_bad_arguments(
    path: Path, arguments: dict[str, object], error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    good = {"path": path, "buffer": bytearray(10)}
    with pytest.raises(error):
        nump.read_into(**(good | arguments))  # type: ignore[arg-type]
    assert files.open_descriptors(path) == 0


def test_the_last_offset_there_is(path: Path) -> None:
    for before in (1, 2, 10, 11, 4096):
        buffer = bytearray(b"." * 10)
        done = nump.read_into(path, buffer, 2**63 - before)
        assert (done.nbytes, bytes(buffer)) == (0, b"." * 10)
        assert list(nump.stream(path, 4096, offset=2**63 - before)) == []
    size = path.stat().st_size
    with pytest.raises(nump.StorageError) as error:
        nump.write_from(path, b"abc", 2**63 - 1)
    assert error.value.errno == errno.EFBIG
    assert path.stat().st_size == size
    # A file system in memory takes the last byte that there may be, others take none so far out.
    far = path.with_name("far")
    try:
        with pytest.raises(nump.StorageError) as error:
            nump.write_from(far, b"abc", 2**63 - 2)
        assert error.value.errno == errno.EFBIG
        assert error.value.offset - far.stat().st_size in (0, 2**63 - 2)
    finally:
        far.unlink()


def test_a_failure_says_which_way_the_bytes_went(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = SimpleNamespace(
        opened=True, nbytes=3, failure=SimpleNamespace(call="", code=0, unsupported=False)
    )
    monkeypatch.setattr(nump._core, "read_file", lambda *_: failed)
    monkeypatch.setattr(nump._core, "write_file", lambda *_: failed)
    with pytest.raises(MemoryError, match=r"no memory to read .* at offset 8"):
        nump.read_into(path, bytearray(10), 5)
    with pytest.raises(MemoryError, match=r"no memory to write .* at offset 8"):
        nump.write_from(path, b"abc", 5)


def test_arrays_of_any_kind(path: Path) -> None:
    array = np.zeros((10, 20), np.float32)
    assert nump.read_into(path, array).nbytes == array.nbytes
    assert array.tobytes() == HELD[: array.nbytes]
    fortran = np.zeros((10, 20), np.float32, order="F")
    with pytest.raises((BufferError, ValueError)):
        nump.read_into(path, fortran)


def test_a_buffer_cannot_go_while_it_is_read_into(path: Path) -> None:
    buffer = nump.NumaAllocator().allocate(4096)
    buffer.close()
    with pytest.raises(ValueError, match="closed"):
        nump.read_into(path, buffer)


def test_descriptors_are_closed(path: Path, buffer: nump.NodeBuffer) -> None:
    for _ in range(3):
        nump.read_into(path, buffer)
        nump.read_into(path, buffer, direct=False)
    assert files.open_descriptors(path) == 0
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 10


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="leases are Linux's")
def test_a_lease_of_another_process(tmp_path: Path) -> None:
    """It is waited for until it is given up, and Ctrl-C ends that."""
    path = tmp_path / "leased"
    path.write_bytes(HELD)
    out = child.check(
        f"""
        import fcntl, os, signal, threading
        import numapool as nump

        def lease(answer):
            ready, tell = os.pipe()
            holder = os.fork()
            if holder == 0:
                fd = os.open({str(path)!r}, os.O_RDWR)
                signal.signal(signal.SIGIO, lambda *_: answer(fd))
                try:
                    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
                except OSError as error:
                    os.write(tell, b"no")
                os.write(tell, b"ok")
                while True:
                    signal.pause()
            if os.read(ready, 2) == b"no":
                print("no leases here")
                os._exit(0)
            return holder

        def end(holder):
            os.kill(holder, signal.SIGKILL)
            os.waitpid(holder, 0)

        buffer = bytearray(4096)
        holder = lease(lambda fd: None)
        main = threading.main_thread().ident
        threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
        try:
            nump.read_into({str(path)!r}, buffer)
            print("read")
        except KeyboardInterrupt:
            print("interrupted", not any(buffer))
        end(holder)
        holder = lease(lambda fd: fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK))
        print(nump.read_into({str(path)!r}, buffer).nbytes)
        end(holder)
        """,
        timeout_s=30,
    )
    if out != "no leases here\n":
        assert out == "interrupted True\n4096\n"


def test_ctrl_c_between_pieces() -> None:
    """/dev/zero never ends and is never short: the signal comes while it is read."""
    out = child.check(
        """
        import os, signal, threading
        import numapool as nump
        buffer = nump.NumaAllocator().allocate(256 << 20)
        rounds = []
        def interrupt():
            while not rounds:
                pass
            os.kill(os.getpid(), signal.SIGINT)
        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            while True:
                nump.read_into("/dev/zero", buffer)
                rounds.append(1)
        except KeyboardInterrupt:
            thread.join()
            print("interrupted")
        buffer.close()
        """
    )
    assert out == "interrupted\n"

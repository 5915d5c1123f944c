"""read_many: every byte by every engine, files that change, and a kernel that refuses io_uring."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import child, files

import numapool as nump

KIB, MIB = 1 << 10, 1 << 20
HELD = files.contents(300_001)


@pytest.fixture(scope="module", params=["disk", "memory"])
def path(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A file on this machine's disk, which mostly has direct I/O, and one in memory without."""
    with files.folder_of(request.param, tmp_path_factory) as folder:
        (folder / "held").write_bytes(HELD)
        yield folder / "held"


def engine() -> str:
    named = {one.name: one for one in nump.capabilities()}
    return "io_uring" if named["read queue"].available else "threads"


@settings(max_examples=40, deadline=None)
@given(
    reads=st.lists(
        st.tuples(
            st.integers(0, len(HELD) + 5000) | st.integers(0, 80).map(lambda n: n * 4096),
            st.integers(0, 20_000) | st.integers(0, 9).map(lambda n: n * 4096),
            st.integers(0, 600) | st.integers(0, 2).map(lambda n: n * 512),
        ),
        max_size=12,
    ),
    depth=st.integers(1, 9),
    direct=st.booleans(),
)
def test_any_reads(path: Path, reads: list[tuple[int, int, int]], depth: int, direct: bool) -> None:
    room = [np.full(begin + size + 4096, 0x2E, np.uint8) for _, size, begin in reads]
    places = [
        memoryview(one.data)[begin : begin + size]
        for one, (_, size, begin) in zip(room, reads, strict=True)
    ]
    offsets = [offset for offset, _, _ in reads]
    done = nump.read_many(path, offsets, places, depth=depth, direct=direct)
    expected = [HELD[offset : offset + size] for offset, size, _ in reads]
    assert done.nbytes == sum(map(len, expected))
    short = {one.index: one.nbytes for one in done.short_reads}
    for index, (place, wanted) in enumerate(zip(places, expected, strict=True)):
        assert bytes(place) == wanted + b"." * (len(place) - len(wanted))
        if len(wanted) < len(place):
            assert short.pop(index) == len(wanted)
    assert not short
    for one, (_, size, begin) in zip(room, reads, strict=True):
        assert set(one[:begin].tolist() + one[begin + size :].tolist()) <= {0x2E}


def test_one_buffer_in_equal_parts(path: Path) -> None:
    offsets = np.arange(70, dtype=np.int64)[::-1] * 4096
    with nump.BufferPool() as pool, pool.acquire(70 * 4096) as block:
        done = nump.read_many(path, offsets, block)
        view = memoryview(block)
        for index, offset in enumerate(offsets.tolist()):
            assert bytes(view[index * 4096 : (index + 1) * 4096]) == HELD[offset : offset + 4096]
        view.release()
    assert (done.nbytes, done.short_reads, done.engine) == (70 * 4096, (), engine())
    assert (done.engine_reason is None) == (done.engine == "io_uring")
    if files.has_direct(path.parent):
        assert (done.way, done.reason) == ("direct", None)
    rows = np.zeros((3, 1000), np.uint8)
    assert nump.read_many(path, ["1kB", 5, 300_000], rows).nbytes == 2001
    assert rows[1].tobytes() == HELD[5:1005]
    assert nump.read_many(path, [], []).nbytes == nump.read_many(path, [], rows).nbytes == 0


def test_what_io_uring_is_not_used_for(path: Path) -> None:
    assert nump.read_many(path, [7], bytearray(9)).engine == "caller"
    zeros = bytearray(b"x" * 9000)
    done = nump.read_many("/dev/zero", [0, 5, 9], zeros)
    assert (done.nbytes, done.engine, zeros) == (9000, "caller", bytearray(9000))


def test_a_failure_says_where(path: Path) -> None:
    """A file in /proc whose bytes are this process's memory: address 0 cannot be read."""
    array = np.full(8192, 7, np.uint8)
    offsets = [array.ctypes.data, 0, array.ctypes.data + 4096, 1]
    into = np.zeros((4, 64), np.uint8)
    with pytest.raises(nump.StorageError, match=r"at offset 0\)") as error:
        nump.read_many("/proc/self/mem", offsets, into)
    assert (error.value.offset, error.value.filename) == (0, "/proc/self/mem")
    assert set(into[0].tolist()) == {7}
    with pytest.raises(FileNotFoundError):
        nump.read_many(path.with_name("nowhere"), [0], bytearray(1))
    with pytest.raises(IsADirectoryError):
        nump.read_many(path.parent, [0, 1], bytearray(2))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"offsets": [0, -1]}, ValueError, "each of offsets must be from 0"),
        ({"offsets": [0, 2**63]}, ValueError, "each of offsets must be from 0"),
        ({"offsets": [0, 1.5]}, TypeError, "each of offsets must be a number of bytes"),
        ({"offsets": 5}, TypeError, "offsets must be an iterable"),
        ({"offsets": "12"}, TypeError, "offsets must be an iterable"),
        ({"offsets": [0, 1, 2]}, ValueError, "multiple of the number of offsets, 3, not 10"),
        ({"buffers": [bytearray(1)]}, ValueError, "buffers must be as many as offsets, 2, not 1"),
        ({"buffers": [bytearray(1), b"1"]}, BufferError, "each of buffers must be a writable"),
        ({"buffers": [bytearray(1), 5]}, TypeError, "each of buffers must be a writable"),
        ({"buffers": b"readonly00"}, BufferError, "buffers must be a writable"),
        ({"buffers": np.zeros((4, 4))[:, 1]}, (BufferError, ValueError), "contiguous"),
        ({"buffers": 5}, TypeError, "buffers must be a buffer, or an iterable of buffers"),
        ({"depth": 0}, ValueError, "depth must be from 1 to 1024, not 0"),
        ({"depth": 1025}, ValueError, "depth must be from 1 to 1024"),
        ({"depth": 1.0}, TypeError, "depth must be an integer"),
        ({"path": b"bytes"}, TypeError, "path must be"),
    ],
)
def test_bad_arguments(
    path: Path,
    arguments: dict[str, object],
    error: type[Exception] | tuple[type[Exception], ...],
    words: str,
) -> None:
    good = {"path": path, "offsets": [0, 1], "buffers": bytearray(10)}
    with pytest.raises(error, match=words):
        nump.read_many(**(good | arguments))  # type: ignore[arg-type]
    assert files.open_descriptors(path) == 0


def test_a_closed_buffer(path: Path) -> None:
    buffer = nump.NumaAllocator().allocate(4096)
    buffer.close()
    for one in (buffer, [buffer, buffer]):
        with pytest.raises(ValueError, match="closed"):
            nump.read_many(path, [0, 1], one)


def test_a_sparse_file_and_one_that_changes(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(8 * MIB)
        file.seek(4 * MIB + 100)
        file.write(b"here")
    into = np.full((16, 512 * KIB), 1, np.uint8)
    assert nump.read_many(sparse, range(0, 8 * MIB, 512 * KIB), into).nbytes == 8 * MIB
    assert into.ravel()[4 * MIB + 100 : 4 * MIB + 104].tobytes() == b"here"
    assert np.count_nonzero(into) == 4
    # It grows and shrinks while it is read: a read ends where the file did at that moment.
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            os.truncate(sparse, 5 * MIB + 1001)
            os.truncate(sparse, 8 * MIB)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(5):
            done = nump.read_many(sparse, range(0, 8 * MIB, 512 * KIB), into)
            assert done.nbytes >= 5 * MIB + 1001
            assert np.count_nonzero(into) == 4
            assert all(one.index >= 10 for one in done.short_reads)
    finally:
        stop.set()
        changer.join()


def test_in_a_task(path: Path) -> None:
    into = np.zeros((4, 1000), np.uint8)

    async def reads() -> nump.ReadManyResult:
        return await nump.read_many_async(path, range(0, 4000, 1000), into, depth=2)

    assert asyncio.run(reads()).nbytes == 4000
    assert into.tobytes() == HELD[:4000]


def test_a_kernel_that_refuses_one_call_after_the_other(tmp_path: Path) -> None:
    """The same bytes come whichever of io_uring's calls fails, and however."""
    path = tmp_path / "held"
    path.write_bytes(HELD)
    out = child.check(
        f"""
        import errno, os
        import numapool as nump
        from support import seccomp
        held = open({str(path)!r}, "rb").read()
        offsets = list(range(0, 280_000, 4096)) + [299_000, 777, 299_999]
        words = set()

        def read():
            with nump.NumaAllocator().allocate(4096 * len(offsets)) as block:
                done = nump.read_many({str(path)!r}, offsets, block, depth=8)
                got = bytes(memoryview(block))
            for index, offset in enumerate(offsets):
                wanted = held[offset : offset + 4096]
                assert got[index * 4096 :][: len(wanted)] == wanted, (index, done)
            short = [(one.index, one.nbytes) for one in done.short_reads]
            assert short == [(69, 1001), (71, 2)], short
            return done

        before = sorted(os.listdir("/proc/self/fd"))
        has_queue = read().engine == "io_uring"
        for code in (errno.EAGAIN, errno.EBUSY, errno.EPERM):
            seccomp.refuse(["io_uring_enter"], code)
            assert (read().engine == "io_uring") == has_queue
        # One operation of io_uring_register after the other: the file, then the ring.
        for operation in (0x80000002, 20):
            seccomp.refuse_argument("io_uring_register", 1, operation, errno.EPERM)
            done = read()
            assert done.engine == "threads"
            words.add(done.engine_reason)
        for code in (errno.ENOMEM, errno.EPERM):
            seccomp.refuse(["io_uring_setup"], code)
            done = read()
            assert done.engine == "threads"
            words.add(done.engine_reason)
        assert sorted(os.listdir("/proc/self/fd")) == before
        found = {{one.name: one for one in nump.capabilities()}}["read queue"]
        assert not found.available
        assert "read_many() reads with threads" in found.detail, found
        if has_queue:
            assert "io_uring_setup: Operation not permitted" in found.detail, found
            assert "seccomp profile" in found.remedy
            assert words == {{
                "io_uring_register(the file): Operation not permitted",
                "io_uring_register(the ring): Operation not permitted",
                "io_uring_setup: Cannot allocate memory",
                "io_uring_setup: Operation not permitted",
            }}, words
        print("fine")
        """
    )
    assert out == "fine\n"


def test_forks_and_signals_while_it_reads(tmp_path: Path) -> None:
    """Children of forks find nothing of the rings, and every byte is the parent's own."""
    path = tmp_path / "held"
    path.write_bytes(HELD[: 64 * 4096])
    out = child.check(
        f"""
        import os, signal, threading, time
        import numpy as np
        import numapool as nump
        held = np.fromfile({str(path)!r}, np.uint8).reshape(64, 4096)
        offsets = np.tile(np.arange(64) * 4096, 100)
        forked, stop, wrong, rounds = [], threading.Event(), [], []

        def read():
            with nump.NumaAllocator().allocate(4096 * len(offsets)) as block:
                while not stop.is_set():
                    view = np.frombuffer(block, np.uint8).reshape(100, 64, 4096)
                    view[:] = 0
                    nump.read_many({str(path)!r}, offsets, block)
                    if (view != held).any():
                        wrong.append(1)
                    del view
                    rounds.append(1)

        reader = threading.Thread(target=read)
        reader.start()
        while not rounds:
            time.sleep(0.001)
        for _ in range(6):
            started = time.monotonic()
            pid = os.fork()
            if pid == 0:
                fds = [os.readlink(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd")
                       if os.path.islink(f"/proc/self/fd/{{fd}}")]
                maps = open("/proc/self/maps").read()
                into = np.zeros((64, 4096), np.uint8)
                nump.read_many({str(path)!r}, offsets[:64], into)
                fine = not any("uring" in one for one in [*fds, maps]) and (into == held).all()
                os._exit(0 if fine else 1)
            forked.append(os.waitpid(pid, 0)[1])
            time.sleep(0.01)
        stop.set()
        reader.join()
        print(forked, wrong)
        """
    )
    assert out == f"{[0] * 6} []\n"


def test_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "held"
    path.write_bytes(HELD)
    out = child.check(
        f"""
        import os, signal, threading
        import numpy as np
        import numapool as nump
        rounds = []
        def interrupt():
            while not rounds:
                pass
            os.kill(os.getpid(), signal.SIGINT)
        thread = threading.Thread(target=interrupt)
        thread.start()
        into = np.zeros((2000, 4096), np.uint8)
        try:
            while True:
                nump.read_many({str(path)!r}, [0] * 2000, into)
                rounds.append(1)
        except KeyboardInterrupt:
            thread.join()
            print("interrupted")
        """
    )
    assert out == "interrupted\n"

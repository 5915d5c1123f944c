"""Limits of the process (setrlimit(2)) that are met in the middle of its life."""

from __future__ import annotations

import textwrap

from support import child

# Two buffers, one of a pool, that hold bytes; `same()` looks at them again. What opens files for
# the process's whole life has done so.
OWNER = """
import os, resource
import numpy as np, numapool as nump
MIB = 1 << 20
allocator = nump.NumaAllocator()
pool = nump.BufferPool(allocator)
held = [allocator.allocate(3 * MIB), pool.acquire(MIB)]
arrays = [np.frombuffer(buffer, np.uint8) for buffer in held]
for array in arrays:
    array[:] = 7

def same():
    return all((array == 7).all() for array in arrays)

def limit(what, number):
    resource.setrlimit(what, (number, resource.getrlimit(what)[1]))

def refused(call, error):
    try:
        made = call()
    except error as caught:
        return str(caught)
    raise AssertionError(f"{made} in spite of the limit")
"""


def test_address_space() -> None:
    """Several requests, so that one that leaks its part of the space is found out."""
    code = """
        kib = int(open("/proc/self/status").read().partition("VmSize:")[2].split()[0])
        limit(resource.RLIMIT_AS, kib * 1024 + 64 * MIB)
        for _ in range(4):
            for call in (
                lambda: allocator.allocate(256 * MIB),
                lambda: allocator.allocate(256 * MIB, strict=True),
                lambda: allocator.allocate(256 * MIB, populate=False),
                lambda: allocator.allocate_interleaved(256 * MIB),
                lambda: pool.acquire(256 * MIB),
                lambda: pool.reserve(32 * MIB, 8),
                lambda: pool.ring(32 * MIB, 8),
                lambda: nump.empty(256 * MIB, np.uint8, pool=pool),
            ):
                words = refused(call, MemoryError)
                assert "mmap" in words and "Cannot allocate memory" in words, words
            pool.trim()
            with nump.numpy_allocator(pool=pool):
                refused(lambda: np.empty(256 * MIB, np.uint8), MemoryError)
            allocator.allocate(8 * MIB).close()
            assert same()
        limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
        allocator.allocate(256 * MIB).close()
        assert same()
        print("fine")
        """
    assert child.check(OWNER + textwrap.dedent(code)).strip() == "fine"


def test_open_files() -> None:
    code = """
        import errno, tempfile
        path = tempfile.mkstemp()[1]
        open(path, "wb").write(bytes(MIB))
        used = set(os.listdir("/proc/self/fd"))
        limit(resource.RLIMIT_NOFILE, 3)  # whatever is open stays so, and nothing more is opened

        for _ in range(4):
            for call in (
                nump.NumaTopology.detect,
                lambda: nump.PressureMonitor().start(),
                lambda: nump.SharedNodeBuffer(MIB),
                lambda: nump.read_into(path, held[0]),
                lambda: next(nump.stream(path)),
            ):
                words = refused(call, OSError)
                assert "Too many open files" in words, words
            with allocator.allocate(32 * MIB) as buffer:  # the machine's account is open already
                buffer.placement()
            pool.acquire(2 * MIB).close()
            assert pool.trim() > 0
            assert same()
        limit(resource.RLIMIT_NOFILE, 256)
        assert set(os.listdir("/proc/self/fd")) == used
        assert nump.read_into(path, held[0]).nbytes == MIB
        os.unlink(path)
        with nump.PressureMonitor():
            pass
        print("fine")
        """
    assert child.check(OWNER + textwrap.dedent(code)).strip() == "fine"


def test_open_files_before_anything_was_looked_at() -> None:
    code = """
        import os, resource
        import numapool as nump
        allocator = nump.NumaAllocator()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
        with allocator.allocate(32 << 20) as buffer:
            view = memoryview(buffer)
            view[0] = view[-1] = 1
            print(buffer.nbytes >> 20, buffer.placement().not_resident_bytes)
            view.release()
        """
    assert child.check(code).split() == ["32", "0"]


def test_locked_memory() -> None:
    """Of a user without CAP_IPC_LOCK; the rest of what is asked for is served."""
    code = """
        limit(resource.RLIMIT_MEMLOCK, 65536)
        if os.getuid() == 0:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        locked = lambda: open("/proc/self/status").read().partition("VmLck:")[2].split()[0]
        for _ in range(4):
            words = refused(lambda: allocator.allocate(4 * MIB, mlock=True), OSError)
            assert "mlock" in words and "RLIMIT_MEMLOCK" in words, words
            assert locked() == "0"
            with allocator.allocate(32768, mlock=True) as buffer:
                assert buffer.locked and locked() == "32"
            allocator.allocate(4 * MIB).close()
            assert same()
        print("fine")
        """
    assert child.check(OWNER + textwrap.dedent(code)).strip() == "fine"

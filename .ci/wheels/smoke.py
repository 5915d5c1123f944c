"""What a wheel's own Python runs, without any other package: smoke.py [--emulated | --ending].

--emulated: the system calls of placement are refused, as by qemu-user; memory may be anywhere.
--ending: a process that ends while threads of it take and give memory.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path


def check_module() -> None:
    """Check that the module is the wheel's, and brought no library along."""
    import numapool
    from numapool import _core

    assert _core.__file__ is not None
    assert Path(_core.__file__).parent == Path(numapool.__file__).parent
    if sys.platform == "linux":
        maps = Path("/proc/self/maps").read_text().splitlines()
        libraries = {line.split("/")[-1].strip() for line in maps if "/" in line}
        foreign = [one for one in libraries if one.startswith(("libnuma", "libstdc++", "libc++"))]
        assert not foreign, f"{foreign} came along"
    if hasattr(sys, "_is_gil_enabled") and "free-threading" in sys.version:
        assert not sys._is_gil_enabled(), "importing numapool switched the GIL on"


def check_memory(emulated: bool) -> None:
    """Check that memory is placed, found, written and lent again."""
    import numapool

    with numapool.NumaAllocator().allocate(4 << 20) as buffer:
        view = memoryview(buffer)
        view[:3] = b"abc"
        assert bytes(view[:4]) == b"abc\0"
        if not emulated:
            placement = buffer.placement()
            assert sum(placement.bytes_by_node.values()) == 4 << 20, placement
        view.release()
    with numapool.BufferPool() as pool:
        for _ in range(3):
            with pool.acquire(1 << 20) as block:
                memoryview(block)[-1:] = b"z"
    try:
        numapool.NumaAllocator().allocate(1 << 62)
    except MemoryError:
        pass
    else:
        raise AssertionError("4 EiB were allocated")
    assert numapool.current_topology().nodes


def end_with_threads() -> None:
    """End the interpreter while threads are in calls of the module, each kind in its turn."""
    import numapool

    # A thread gives the GIL away as often as it can: it may be ended wherever it takes it again.
    sys.setswitchinterval(1e-6)
    allocator = numapool.NumaAllocator()
    pool = numapool.BufferPool()

    def allocate() -> None:
        with allocator.allocate(1 << 16, page_size="base") as buffer:
            memoryview(buffer)[:1] = b"x"
            buffer.placement()

    def borrow() -> None:
        with pool.acquire(1 << 12) as block:
            memoryview(block)[:1] = b"x"
        pool.statistics()

    def fail() -> None:
        with contextlib.suppress(MemoryError):
            allocator.allocate(1 << 62)
        with contextlib.suppress(ValueError):
            pool.acquire(-1)

    def look() -> None:
        topology = numapool.NumaTopology.detect()
        assert repr(topology.nodes[0])

    kinds = [allocate, borrow, fail, look]
    started = threading.Barrier(len(kinds) + 1)

    def begin(work: Callable[[], None]) -> None:
        work()
        started.wait()
        while True:
            work()

    for work in kinds:
        threading.Thread(target=begin, args=[work], daemon=True).start()
    started.wait()


if __name__ == "__main__":
    if "--emulated" in sys.argv:
        warnings.simplefilter("ignore")
    if "--ending" in sys.argv:
        end_with_threads()
    else:
        check_module()
        check_memory("--emulated" in sys.argv)
    print("passed")

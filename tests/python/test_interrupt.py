"""Ctrl-C ends a long populate cleanly: the exception comes, and every page is back."""

from __future__ import annotations

import pytest
from support import child, seccomp

import numapool as nump

SIZE_BYTES = 6 << 30


@pytest.mark.parametrize("before", ["", seccomp.BEFORE_5_14], ids=["this kernel", "before 5.14"])
def test_ctrl_c_during_a_long_populate(before: str) -> None:
    if nump._core.available().size_bytes < 2 * SIZE_BYTES:
        pytest.skip(f"needs {2 * SIZE_BYTES >> 30} GiB of available memory to be long enough")
    out = child.check(
        f"""
        import os, signal, threading, time
        import numapool as nump
        {before}

        def resident():
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

        allocator = nump.NumaAllocator()
        allocator.allocate(1 << 20).close()
        before = resident()
        sent = []

        def interrupt():
            while resident() < before + (300 << 20):
                time.sleep(0.001)
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt).start()
        try:
            allocator.allocate({SIZE_BYTES}, page_size="base")
            print("not interrupted")
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - sent[0] < 5, resident() - before < 64 << 20)
        allocator.allocate(1 << 20).close()
        """,
    )
    assert out.split() == ["interrupted", "True", "True"]


def test_other_threads_run_while_memory_is_populated() -> None:
    if nump._core.available().size_bytes < 4 << 30:
        pytest.skip("needs 4 GiB of available memory to be long enough")
    out = child.check(
        """
        import threading
        import numapool as nump
        allocator = nump.NumaAllocator()
        ticks, stop = 0, threading.Event()

        def count():
            global ticks
            while not stop.is_set():
                ticks += 1

        thread = threading.Thread(target=count)
        thread.start()
        before = ticks
        allocator.allocate(2 << 30, page_size="base").close()
        during = ticks - before
        stop.set()
        thread.join()
        print(during > 10000, during)
        """
    )
    assert out.startswith("True"), out

"""Pools and the process: resident memory, threads, forks, the interpreter's end."""

from __future__ import annotations

import mmap
import random
import threading
from pathlib import Path

import numpy as np
import pytest
from support import child

import numapool as nump

KIB, MIB = 1 << 10, 1 << 20


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * KIB
    raise AssertionError("no VmRSS")


@pytest.mark.parametrize("size", [64 * MIB, MIB, 4 * mmap.PAGESIZE])
def test_what_is_trimmed_has_left_the_process(size: int) -> None:
    pool = nump.BufferPool()
    count = 128 * MIB // size
    held = [pool.acquire(size) for _ in range(count)]
    full = resident_bytes()
    del held[::2]
    freed = pool.trim()
    assert freed >= 60 * MIB
    assert full - resident_bytes() >= freed * 9 // 10
    del held
    freed += pool.trim()
    assert freed == 128 * MIB
    assert full - resident_bytes() >= freed * 9 // 10


def vm_flags(address: int) -> set[str]:
    """Flags of the mapping that an address is in (proc(5), smaps)."""
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="ascii").splitlines():
        head = line.split(maxsplit=1)
        if "-" in head[0] and not head[0].endswith(":"):
            first, last = (int(end, 16) for end in head[0].split("-"))
            inside = first <= address < last
        elif inside and head[0] == "VmFlags:":
            return set(head[1].split())
    raise AssertionError(f"{address:#x} is in no mapping")


def test_no_huge_page_is_made_of_a_slab_that_gave_parts_back() -> None:
    """Khugepaged would fill the gaps, and what was trimmed would be resident again."""
    with nump.BufferPool() as pool:
        buffers = [pool.acquire(64 * KIB) for _ in range(32)]
        assert "nh" not in vm_flags(buffers[1].address)
        for buffer in buffers[::2]:
            buffer.close()
        assert pool.trim() == 16 * 64 * KIB
        assert all("nh" in vm_flags(buffer.address) for buffer in buffers[1::2])


def test_threads_never_share_a_block() -> None:
    pool = nump.BufferPool(max_bytes=64 * MIB)
    errors: list[str] = []

    def work(mark: int) -> None:
        chance = random.Random(mark)
        mine: list[nump.NodeBuffer] = []
        for _ in range(400):
            if mine and (len(mine) > 6 or chance.random() < 0.5):
                buffer = mine.pop(chance.randrange(len(mine)))
                if not (np.frombuffer(buffer, np.uint8) == mark).all():
                    errors.append(f"thread {mark} found another's bytes")
                buffer.close()
                continue
            size = chance.choice([4 * KIB, 60 * KIB, MIB])
            buffer = pool.acquire(size, block=True, timeout_s=60)
            np.frombuffer(buffer, np.uint8)[:] = mark
            mine.append(buffer)
            if chance.random() < 0.02:
                pool.trim(MIB)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert pool.statistics().total.in_use_bytes == 0


def test_close_while_others_use_it() -> None:
    for _ in range(20):
        pool = nump.BufferPool()
        started = threading.Barrier(4)

        def work(pool: nump.BufferPool = pool, started: threading.Barrier = started) -> None:
            started.wait()
            try:
                for _ in range(2000):
                    pool.acquire(4 * KIB).close()
            except ValueError:
                return

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        started.wait()
        pool.close()
        for thread in threads:
            thread.join()
        assert pool.closed


FORK = """
import os, sys, threading, time
import numpy as np, numapool as nump
MIB = 1 << 20
pool = nump.BufferPool({options})
live = pool.acquire(4 * MIB); np.frombuffer(live, np.uint8)[:] = 1
small = pool.acquire(4096); np.frombuffer(small, np.uint8)[:] = 2
kept = pool.acquire(8 * MIB); np.frombuffer(kept, np.uint8)[:] = 3; kept_at = kept.address
kept.close()
stop = False
def churn():
    while not stop:
        pool.acquire(5000).close()
        pool.trim(4096)
threads = [threading.Thread(target=churn) for _ in range(2)]
for t in threads: t.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        assert (np.frombuffer(live, np.uint8) == 1).all()
        assert (np.frombuffer(small, np.uint8) == 2).all()
        mine = [pool.acquire(s) for s in (4096, 5000, MIB, 8 * MIB)]
        for one in mine: np.frombuffer(one, np.uint8)[:] = 9
        live.close(); small.close(); del mine
        pool.trim(); pool.acquire(MIB).close(); pool.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop = True
for t in threads: t.join()
assert (np.frombuffer(live, np.uint8) == 1).all()
assert (np.frombuffer(small, np.uint8) == 2).all()
print("fine")
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("options", ["", "idle_s=0.05", "retain_bytes=16 << 20"])
def test_fork_while_threads_use_the_pool(options: str) -> None:
    assert child.check(FORK.format(options=options)).strip() == "fine"


END = """
import contextlib, threading
import numpy as np, numapool as nump
pool = nump.BufferPool(idle_s=0.02)
buffers = [pool.acquire(size) for size in (4096, 1 << 20, 64 << 20)]
arrays = [np.frombuffer(buffer, np.uint8) for buffer in buffers]
ring = pool.ring(4096, 4); slot = ring.acquire()
def churn():
    # Where the pool is closed or gone. A traceback that is written as Python ends may crash it.
    with contextlib.suppress(ValueError, NameError):
        while True:
            pool.acquire(100_000).close()
threading.Thread(target=churn, daemon=True).start()
{ending}
print("end", flush=True)
"""


@pytest.mark.parametrize(
    "ending", ["", "pool.close()", "del pool", "import sys; sys.modules['keep'] = (pool, arrays)"]
)
def test_the_interpreter_ends_with_buffers_alive(ending: str) -> None:
    for _ in range(3):
        assert child.check(END.format(ending=ending)).strip().startswith("end")

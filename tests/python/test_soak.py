"""Many threads on pools under pressure for a while: what they write stays, and nothing grows."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
from support import child
from support.waiting import within_seconds

import numapool as nump

KIB, MIB = 1 << 10, 1 << 20
#: `make soak`: 8 threads for 600 s.
SECONDS = float(os.environ.get("NUMAPOOL_SOAK_S", "20"))
THREADS = int(os.environ.get("NUMAPOOL_SOAK_THREADS", "4"))


def open_files() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):  # that of the listing itself
            found.append(os.readlink(f"/proc/self/fd/{name}"))  # noqa: PTH115
    return sorted(found)


def native_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


class Life:
    """One thread's: it borrows, writes, looks, and gives back."""

    def __init__(self, pools: list[nump.BufferPool], mark: int) -> None:
        self.pools, self.mark = pools, mark
        self.chance = random.Random(mark)
        self.held: list[np.ndarray] = []
        self.rounds = 0
        self.errors: list[str] = []

    def run(self, end: float) -> None:
        try:
            while time.monotonic() < end:
                self.step()
            self.held.clear()
        except BaseException as error:
            self.errors.append(repr(error))
            raise

    def step(self) -> None:
        chance, pool = self.chance, self.chance.choice(self.pools)
        self.rounds += 1
        if self.held and (len(self.held) > 8 or chance.random() < 0.5):
            array = self.held.pop(chance.randrange(len(self.held)))
            if not (array == self.mark).all():
                self.errors.append(f"thread {self.mark} found another's bytes")
            return
        size = chance.choice([100, 4 * KIB, 60 * KIB, 300 * KIB, MIB])
        try:
            if chance.random() < 0.2:
                buffer = pool.acquire(size, block=True, timeout_s=0.01)
            else:
                buffer = pool.acquire(size)
        except nump.PoolExhaustedError:
            self.held.clear()
            return
        array = np.frombuffer(buffer, np.uint8)
        if pool.zero_on_reuse and array.any():
            self.errors.append("zero_on_reuse left bytes")
        array[:] = self.mark
        self.held.append(array)
        if chance.random() < 0.01:
            pool.trim(MIB)


def soak(seconds: float) -> str:
    # The margin is more than any machine has: the monitor asks for memory all the time.
    policy = nump.PressurePolicy(margin_bytes=1 << 60, cooldown_s=0.02, relief_s=0.05, poll_s=0.01)
    pools = [
        nump.BufferPool(max_bytes=64 * MIB),
        nump.BufferPool(max_bytes=64 * MIB, zero_on_reuse=True, idle_s=0.05, core_dump=False),
        nump.BufferPool(retain_bytes=8 * MIB),
    ]
    end = time.monotonic() + seconds
    with nump.PressureMonitor(policy, sources=["meminfo"]) as monitor:
        for pool in pools:
            monitor.attach(pool)
        seen: list[nump.PressureEvent] = []
        monitor.subscribe(seen.append)
        lives = [Life(pools, mark) for mark in range(1, THREADS + 1)]
        threads = [threading.Thread(target=life.run, args=(end,)) for life in lives]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counts = monitor.statistics()
    assert [error for life in lives for error in life.errors] == []
    for pool in pools:
        assert pool.statistics().total.in_use_bytes == 0
        pool.trim()
        assert pool.statistics().total.retained_bytes == 0
        pool.close()
    rounds = sum(life.rounds for life in lives)
    assert min(life.rounds for life in lives) > 0
    return f"{rounds} rounds, {len(seen)} events, {counts.trimmed_bytes >> 20} MiB trimmed"


def run() -> None:
    """Soak twice, and see that the second time leaves nothing open that the first did not."""
    soak(0.5)  # opens what stays open for the process: its account of the machine
    files, threads = open_files(), native_threads()
    counts = soak(SECONDS)
    # A file of the system's account may be opened for the first time, and stays open once.
    more = Counter(open_files()) - Counter(files)
    assert all(path.startswith(("/proc/", "/sys/")) and n == 1 for path, n in more.items()), more
    # One that was joined may be listed for a moment still.
    assert within_seconds(lambda: native_threads() <= threads), native_threads()
    print(f"soak: {THREADS} threads, {SECONDS:.0f} s: {counts}")


def test_threads_pools_and_a_monitor() -> None:
    """In a process of its own: what other tests keep open may come and go meanwhile."""
    print(
        "", child.check("import test_soak; test_soak.run()", timeout_s=120 + 3 * SECONDS), sep="\n"
    )

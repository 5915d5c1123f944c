"""Many threads on pools under pressure for a while: what they write stays, and nothing grows.

Each keeps its blocks to itself, or makes blocks that another thread reads and gives back.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
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


class Life(Protocol):
    """What one thread does until the end, and what it found."""

    rounds: int
    errors: list[str]

    def run(self, end: float) -> None: ...


class Loner:
    """Borrows, writes, looks, and gives back."""

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


#: Arrays with the byte that they are full of, on their way to who gives them back. None: no more.
Belt = queue.Queue["tuple[np.ndarray, int] | None"]


class Producer:
    """Borrows, writes, and hands over; waits for the consumer where the pool is at its limit."""

    def __init__(self, pools: list[nump.BufferPool], belt: Belt, mark: int) -> None:
        self.pools, self.belt = pools, belt
        self.chance = random.Random(mark)
        self.rounds = 0
        self.errors: list[str] = []

    def run(self, end: float) -> None:
        try:
            while time.monotonic() < end:
                self.rounds += 1
                # Many of one class in a row, as a data loader makes them.
                size = self.chance.choice([100, 4 * KIB, 64 * KIB, 64 * KIB, 64 * KIB, MIB])
                for _ in range(self.chance.randrange(1, 40)):
                    self.hand_over(size)
        except BaseException as error:
            self.errors.append(repr(error))
            raise
        finally:
            self.belt.put(None)

    def hand_over(self, size: int) -> None:
        pool = self.chance.choice(self.pools)
        # What is on the belt, or with the consumer, comes back: nobody waits in vain.
        array = np.frombuffer(pool.acquire(size, block=True, timeout_s=60), np.uint8)
        if pool.zero_on_reuse and array.any():
            self.errors.append("zero_on_reuse left bytes")
        byte = self.chance.randrange(1, 256)
        array[:] = byte
        self.belt.put((array, byte))


class Consumer:
    """Looks at what a producer made, and gives it back, some at once and some later."""

    def __init__(self, belt: Belt, mark: int) -> None:
        self.belt = belt
        self.chance = random.Random(mark)
        self.rounds = 0
        self.errors: list[str] = []

    def run(self, end: float) -> None:
        del end  # its producer's
        held: list[tuple[np.ndarray, int]] = []
        while (made := self.belt.get()) is not None:
            self.rounds += 1
            held.append(made)
            del made
            if self.chance.random() < 0.7 or len(held) > 8:
                while held:
                    array, byte = held.pop(self.chance.randrange(len(held)))
                    if not (array == byte).all():
                        self.errors.append(f"a block of {byte} changed on its way")
                    del array


def loners(pools: list[nump.BufferPool]) -> list[Life]:
    return [Loner(pools, mark) for mark in range(1, THREADS + 1)]


def pairs(pools: list[nump.BufferPool]) -> list[Life]:
    lives: list[Life] = []
    for mark in range(max(1, THREADS // 2)):
        belt: Belt = queue.Queue(64)
        lives += [Producer(pools, belt, mark), Consumer(belt, mark)]
    return lives


def soak(seconds: float, born: Callable[[list[nump.BufferPool]], list[Life]]) -> str:
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
        lives = born(pools)
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


def run(name: str) -> None:
    """Soak twice, and see that the second time leaves nothing open that the first did not."""
    born = {"loners": loners, "pairs": pairs}[name]
    soak(0.5, born)  # opens what stays open for the process: its account of the machine
    files, threads = open_files(), native_threads()
    counts = soak(SECONDS, born)
    # A file of the system's account may be opened for the first time, and stays open once.
    more = Counter(open_files()) - Counter(files)
    assert all(path.startswith(("/proc/", "/sys/")) and n == 1 for path, n in more.items()), more
    # One that was joined may be listed for a moment still.
    assert within_seconds(lambda: native_threads() <= threads), native_threads()
    print(f"soak: {name}, {THREADS} threads, {SECONDS:.0f} s: {counts}")


@pytest.mark.parametrize("name", ["loners", "pairs"])
def test_threads_pools_and_a_monitor(name: str) -> None:
    """In a process of its own: what other tests keep open may come and go meanwhile."""
    done = f"import test_soak; test_soak.run({name!r})"
    print("", child.check(done, timeout_s=120 + 3 * SECONDS), sep="\n")

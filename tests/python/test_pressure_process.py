"""The monitor and the life of a process: handlers that run while it stops, exits, and forks."""

from __future__ import annotations

import pytest
from support import child

PRELUDE = """
import os, sys, threading, time
import numapool as nump
MIB = 1 << 20
short = nump.PressurePolicy(margin_bytes=1 << 60, cooldown_s=0.01, relief_s=0.05, poll_s=0.005)
def within_seconds(done, seconds=20):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.001)
pool = nump.BufferPool()
"""

STOP = """
in_handler = threading.Event()
def handler(event):
    in_handler.set()
    time.sleep(0.003)
for turn in range(200):
    in_handler.clear()
    pool.reserve(MIB, 2)
    monitor = nump.PressureMonitor(short, sources=["meminfo"]).start()
    monitor.attach(pool)
    subscription = monitor.subscribe(monitor.stop if turn % 4 == 0 else handler)
    if turn % 4 == 0:
        within_seconds(lambda: not monitor.running)     # stopped from its own handler
    else:
        monitor.subscribe(handler)
        assert in_handler.wait(20)
        monitor.stop()
    monitor.close()
print("fine")
"""


def test_stop_during_a_handler() -> None:
    code = PRELUDE + STOP.replace("monitor.stop if", "(lambda event: monitor.stop()) if")
    assert child.check(code).strip() == "fine"


EXIT = """
for turn in range(200):
    pid = os.fork()
    if pid == 0:
        break
    _, status = os.waitpid(pid, 0)
    assert status == 0, (turn, status)
else:
    print("fine")
    sys.exit()
# The child ends as an interpreter does, while events are on their way.
pool.reserve(MIB, 4)
monitor = nump.PressureMonitor(short, sources=["meminfo"]).start()
monitor.attach(pool)
for _ in range(3):
    monitor.subscribe(lambda event: time.sleep(0.001))
time.sleep(turn % 10 * 0.002)
if turn % 3 == 0:
    del monitor
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_exit_with_events_in_flight() -> None:
    assert child.check(PRELUDE + EXIT).strip() == "fine"


FORK = """
seen = []
pool.reserve(MIB, 4)
monitor = nump.PressureMonitor(short, sources=["meminfo"]).start()
monitor.attach(pool)
monitor.subscribe(seen.append)
for turn in range(200):
    pid = os.fork()
    if pid == 0:
        # The child's own monitor: it trims the child's pool and calls the child's handler.
        seen.clear()
        pool.reserve(MIB, 2)
        within_seconds(lambda: pool.statistics().total.retained_bytes == 0)
        within_seconds(lambda: seen)
        assert monitor.running
        if turn % 2:
            monitor.stop()
            os._exit(0)
        break  # ends as an interpreter does, the parent's monitor and its own still about
    _, status = os.waitpid(pid, 0)
    assert status == 0, (turn, status)
    pool.reserve(MIB, 1)
else:
    within_seconds(lambda: pool.statistics().total.retained_bytes == 0)
    count = len(seen)
    within_seconds(lambda: len(seen) > count)
    monitor.close()
    print("fine")
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_while_armed() -> None:
    assert child.check(PRELUDE + FORK, timeout_s=240).strip() == "fine"


OF_C = """
import asyncio, ctypes, os, signal
import numapool as nump
monitor = nump.PressureMonitor(sources=["meminfo"]).start()
events = monitor.events()
pool = nump.BufferPool()
monitor.attach(pool)
ring = pool.ring(4096, 2)
block = ring.acquire()
libc = ctypes.PyDLL(None)  # keeps the GIL: no other thread of Python's runs meanwhile
pid = libc.fork()  # Python learns nothing of it
if pid == 0:
    signal.alarm(60)
    fine = not monitor.running and monitor.sources != ()
    monitor.statistics(); monitor.reading(); monitor.stop()
    asyncio.run(events.aclose())
    block.close(); ring.acquire().close(); ring.close()
    monitor.detach(pool); pool.acquire(1 << 20).close(); pool.close()
    monitor.start(); fine = fine and monitor.running; monitor.close()
    os._exit(0 if fine else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), monitor.running)
monitor.close()
"""


def test_a_fork_of_c_code_leaves_the_child_whole() -> None:
    assert child.check(OF_C).split() == ["0", "True"]


def test_a_daemon_of_threads_does_not_keep_the_process() -> None:
    code = (
        PRELUDE
        + """
monitor = nump.PressureMonitor(short).start()
monitor.subscribe(lambda event: time.sleep(1000))
time.sleep(0.1)
print("fine")
"""
    )
    assert child.check(code, timeout_s=30).strip() == "fine"

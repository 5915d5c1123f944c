"""A process's life around live buffers: exec, spawn, sub-interpreters, signals, every end."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import child

import numapool as nump

MIB = 1 << 20

# A process with all that it may own: pools, rings, views, a monitor with a handler, its threads.
OWNER = """
import os, sys, threading, time
import numpy as np, numapool as nump
MIB = 1 << 20
pool = nump.BufferPool(max_bytes=64 * MIB, idle_s=0.05)
buffers = [pool.acquire(size) for size in (4096, MIB, 8 * MIB)]
arrays = [np.frombuffer(buffer, np.uint8) for buffer in buffers]
for array in arrays:
    array[:] = 5
ring = pool.ring(4096, 2)
slots = [ring.acquire(), ring.acquire()]
monitor = nump.PressureMonitor().start()
monitor.attach(pool)
monitor.subscribe(lambda event: None)
direct = nump.NumaAllocator().allocate(4 * MIB, mlock=False)
"""

DESCRIPTORS = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:-1])"


def test_a_program_that_is_executed_inherits_no_descriptor() -> None:
    out = child.check(OWNER + f"os.execv(sys.executable, [sys.executable, '-c', {DESCRIPTORS!r}])")
    assert out.strip() == "[0, 1, 2]"


def test_a_program_that_is_started_inherits_no_descriptor() -> None:
    start = f"""
import subprocess
print(subprocess.run([sys.executable, "-c", {DESCRIPTORS!r}], close_fds=False,
                     capture_output=True, text=True, check=True).stdout)
"""
    assert child.check(OWNER + start).strip() == "[0, 1, 2]"


def in_another_process(size: int) -> tuple[str, int]:
    with nump.NumaAllocator().allocate(size) as buffer:
        memoryview(buffer)[size - 1] = 3
        return buffer.step.name, buffer.nbytes


def test_a_spawned_worker_allocates_its_own() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        step, size = workers.apply(in_another_process, (MIB,))
    assert (step in nump.AllocationStep.__members__, size) == (True, MIB)


def test_what_owns_memory_is_not_pickled() -> None:
    with nump.BufferPool() as pool, pool.acquire(4096) as buffer, pool.ring(4096, 2) as ring:
        for owner in (buffer, pool, ring, nump.PressureMonitor()):
            with pytest.raises(TypeError, match="pickle"):
                pickle.dumps(owner)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the module has another name there")
def test_a_sub_interpreter_is_refused_and_hurts_nobody() -> None:
    out = child.check(
        """
        import _xxsubinterpreters as interpreters
        import numpy as np, numapool as nump
        pool = nump.BufferPool()
        buffer = pool.acquire(4096)
        view = np.frombuffer(buffer, np.uint8)
        view[:] = 9
        other = interpreters.create()
        try:
            interpreters.run_string(other, "import numapool._core")
            print("imported")
        except interpreters.RunFailedError as error:
            print("ImportError" in str(error), "interpreter" in str(error))
        interpreters.destroy(other)
        assert isinstance(pool.acquire(5000), nump.NodeBuffer)
        assert (view == 9).all()
        del view
        buffer.close()
        pool.close()
        """
    )
    assert out.strip() == "True True"


@pytest.mark.parametrize("status", [0, 7])
def test_an_end_without_any_cleaning_keeps_its_status(status: int) -> None:
    assert child.run(OWNER + f"os._exit({status})").returncode == status


@pytest.mark.parametrize("ending", ["sys.exit(3)", "raise SystemExit(3)"])
def test_an_ordinary_end_keeps_its_status(ending: str) -> None:
    done = child.run(OWNER + ending)
    assert (done.returncode, done.stderr) == (3, "")


def test_an_end_by_an_exception_shows_that_alone() -> None:
    done = child.run(OWNER + "raise RuntimeError('on purpose')")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "RuntimeError: on purpose"
    assert done.stderr.count("Error") == 1


DAEMONS = """
began = threading.Barrier(5)
def forever(work):
    def run():
        began.wait()
        while True:
            work()
    threading.Thread(target=run, daemon=True).start()

def waits_for_the_pool():
    try:
        pool.acquire(60 * MIB, block=True, timeout_s=5)
    except nump.PoolExhaustedError:
        pass

def waits_for_the_ring():
    try:
        ring.acquire(block=True, timeout_s=5)
    except nump.PoolExhaustedError:
        pass

def fills():
    with nump.NumaAllocator().allocate(48 * MIB) as buffer:
        view = memoryview(buffer)
        view[5] = 1
        del view

forever(waits_for_the_pool)
forever(waits_for_the_ring)
forever(fills)
forever(lambda: direct.placement())
began.wait()
"""


def test_daemon_threads_inside_calls_end_with_the_interpreter() -> None:
    for pause_s in (0, 0.01, 0.05):
        done = child.run(OWNER + DAEMONS + f"time.sleep({pause_s})")
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="on_exit(3) is glibc's")
def test_threads_inside_calls_sleep_past_the_end_of_the_interpreter() -> None:
    """Exit handlers of other libraries may run for long once it is gone."""
    done = child.run(
        """
        import ctypes, sys, threading, time
        import numapool as nump
        pool = nump.BufferPool(max_bytes=1 << 20)
        held = pool.acquire(1 << 20)
        for _ in range(25):  # each looks for signals every 50 ms: one will come just then
            threading.Thread(
                target=lambda: pool.acquire(1 << 20, block=True), daemon=True
            ).start()
            time.sleep(0.002)
        libc = ctypes.CDLL(None)
        libc.on_exit(ctypes.cast(libc.sleep, ctypes.c_void_p), None)  # sleep(status)
        sys.exit(1)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_daemon_thread_ends_in_python_code_that_a_call_runs() -> None:
    """Code of an argument's class: no object of the call may be taken down with the thread."""
    code = """
from numapool import _core
class Odd:
    def __init__(self, inside):
        self.inside = inside
    def __index__(self, sleep=time.sleep):
        self.inside.set()
        while True:
            sleep(0.001)
class Late:  # while it sleeps, the interpreter ends the threads that come back to it
    def __del__(self, sleep=time.sleep):
        sleep(0.2)
late, allocator = Late(), nump.NumaAllocator()
for call in (_core.set_home_node, pool.acquire, allocator.allocate,
             lambda odd: allocator.allocate(4096, odd), lambda odd: nump.zeros(odd)):
    inside = threading.Event()
    threading.Thread(target=call, args=[Odd(inside)], daemon=True).start()
    inside.wait()
"""
    done = child.run(OWNER + code)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_daemon_threads_buffers_keep_their_bytes_to_the_end() -> None:
    code = """
import atexit
def hold():
    own = pool.acquire(70_000)
    array = np.frombuffer(own, np.uint8)
    array[:] = 8
    ready.set()
    while (array == 8).all():
        pass
    os.write(2, b"changed")
ready = threading.Event()
threading.Thread(target=hold, daemon=True).start()
ready.wait()
# While other threads run no more, what they hold is whole.
atexit.register(lambda: [array.fill(1) for array in arrays])
"""
    done = child.run(OWNER + code)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_handler_of_a_signal_allocates_inside_an_allocation() -> None:
    code = """
import signal
marks = []
def handler(number, frame):
    with pool.acquire(5000) as buffer, nump.NumaAllocator().allocate(MIB) as other:
        marks.append(buffer.nbytes + other.nbytes)
signal.signal(signal.SIGUSR1, handler)
# The sender is a thread: its signals come while the main thread is in a call. On a busy machine the
# handler may take longer than the pause, so each signal waits for the one before it to be handled.
stop = threading.Event()
def send():
    sent = 0
    while not stop.is_set():
        if len(marks) >= sent:
            os.kill(os.getpid(), signal.SIGUSR1)
            sent += 1
        time.sleep(0.001)
sender = threading.Thread(target=send)
sender.start()
while len(marks) < 20:
    with nump.NumaAllocator().allocate(32 * MIB) as buffer:
        memoryview(buffer)[0] = 1
    try:
        pool.acquire(60 * MIB, block=True, timeout_s=0.02)
    except nump.PoolExhaustedError:
        pass
stop.set()
sender.join()
assert set(marks) == {5000 + MIB}
assert (arrays[1] == 5).all()
print("fine")
"""
    assert child.check(OWNER + code).strip() == "fine"


def test_signals_never_run_on_native_threads() -> None:
    code = """
def threads():
    return {int(name) for name in os.listdir("/proc/self/task")}
def blocked_by(thread):
    status = open(f"/proc/self/task/{thread}/status").read()
    return int(status.partition("SigBlk:")[2].split()[0], 16)
others = threads()  # of other libraries, too
own = nump.PressureMonitor(sources=["meminfo"])
for _ in range(100):  # from the first instruction: each time it is looked at at once
    own.start()
    native = threads() - others
    assert len(native) == 1, native
    for one in native:
        blocked = blocked_by(one)
        for number in (2, 10, 14, 15):  # SIGINT, SIGUSR1, SIGALRM, SIGTERM
            assert blocked >> (number - 1) & 1, (one, number)
        end = time.monotonic() + 20
        while blocked_by(one) >> (11 - 1) & 1:  # SIGSEGV: a fault of its own is told of
            assert time.monotonic() < end  # the C library may block it while a thread begins
    own.stop()
    while threads() != others:
        time.sleep(0.001)  # the kernel forgets a joined thread a little later
assert blocked_by(os.getpid()) == 0
print("fine")
"""
    assert child.check(OWNER + code).strip() == "fine"


def test_a_process_that_was_stopped_goes_on() -> None:
    code = """
print("ready", flush=True)
sys.stdin.readline()
assert all((array == 5).all() for array in arrays)
pool.acquire(MIB).close()
monitor.stop(); monitor.start(); monitor.close()
print("fine", flush=True)
"""
    path = os.pathsep.join(filter(None, [str(child.TESTS), os.environ.get("PYTHONPATH", "")]))
    with child.running(
        [sys.executable, "-c", OWNER + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        stat = Path(f"/proc/{process.pid}/stat")
        for _ in range(5):
            process.send_signal(signal.SIGSTOP)
            while stat.read_text().rpartition(")")[2].split()[0] != "T":
                pass
            process.send_signal(signal.SIGCONT)
        out, _ = process.communicate("go\n", timeout=60)
    assert (out, process.returncode) == ("fine\n", 0)


def test_a_killed_process_leaves_nothing_behind() -> None:
    before = set(Path("/dev/shm").iterdir()) if Path("/dev/shm").is_dir() else set()
    done = child.run(OWNER + "os.kill(os.getpid(), 9)")
    assert done.returncode == -signal.SIGKILL
    after = set(Path("/dev/shm").iterdir()) if Path("/dev/shm").is_dir() else set()
    assert {path.name for path in after - before if "numapool" in path.name} == set()

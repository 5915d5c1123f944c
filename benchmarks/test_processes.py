"""How long does `numapool run` take before its program starts, and a look at a large process?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.support.figures import record
from benchmarks.support.race import Contender, race
from numapool import process_placement

_LIMIT = Path("/proc/sys/vm/max_map_count")
_OTHERS = 4000  # mappings of the process itself, and some to spare
#: A process of as many mappings as it is told: every second page may not be written.
_MANY = """
import ctypes, sys
count, page = int(sys.argv[1]), 4096
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
first = libc.mmap(None, ctypes.c_size_t(count * page), 3, 0x22, -1, ctypes.c_long(0))
ctypes.memset(first, 1, count * page)
for at in range(0, count, 2):
    if libc.mprotect(ctypes.c_void_p(first + at * page), ctypes.c_size_t(page), 1) != 0:
        sys.exit(f"mprotect: errno {ctypes.get_errno()}")
print(flush=True)
input()
"""


@contextmanager
def room_for(mappings: int) -> Iterator[int]:
    """Let processes have so many mappings, where we may; yield how many they can have."""
    before = int(_LIMIT.read_text())
    wanted = mappings + _OTHERS
    try:
        if before < wanted:
            _LIMIT.write_text(str(wanted))
    except PermissionError:
        yield before - _OTHERS
        return
    try:
        yield mappings
    finally:
        _LIMIT.write_text(str(before))


def run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def test_start_of_a_program(benchmark: BenchmarkFixture, node: int) -> None:
    command = Path(sys.executable).with_name("numapool")
    if not command.exists():
        pytest.skip(f"there is no {command}")
    ours = Contender(
        name="numapool", work=lambda: run(command, "run", "--node", str(node), "--", "true")
    )
    peer = Contender(name="python -c pass", work=lambda: run(sys.executable, "-c", "pass"))
    times = race(benchmark, ours, [peer], rounds=40)
    record(
        benchmark,
        what="numapool run, its program true included",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
        at_most=1.5,
    )


def test_large_process(benchmark: BenchmarkFixture) -> None:
    if shutil.which("numastat") is None:
        pytest.skip("the peer numastat is not installed")
    with room_for(100_000) as mappings:
        many = subprocess.Popen(
            [sys.executable, "-c", _MANY, str(mappings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with many:
            assert many.stdin is not None and many.stdout is not None
            many.stdout.readline()
            assert process_placement(many.pid).mappings >= mappings
            ours = Contender(name="numapool", work=lambda: process_placement(many.pid))
            peer = Contender(name="numastat -p", work=lambda: run("numastat", "-p", str(many.pid)))
            times = race(benchmark, ours, [peer], rounds=7)
            many.stdin.write(b"\n")
    assert max(times[ours.name]) < 1e9 or os.getloadavg()[0] > 2, "it is to take a second at most"
    record(
        benchmark,
        what=f"pages by node of a process of {mappings} mappings",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
        at_most=1.0,
    )

"""What does a scrape cost, beside that of prometheus_client's own collectors of the process?"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import numapool as nump
from benchmarks.support.figures import record
from benchmarks.support.race import Contender, race
from benchmarks.test_processes import room_for

POOLS = 10
REPEATS = 5


def several_times(work: Callable[[], object]) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(REPEATS):
            work()

    return repeated


def test_a_scrape(benchmark: BenchmarkFixture, node: int) -> None:
    client = pytest.importorskip("prometheus_client")
    pools = [nump.BufferPool(name=f"pool {number}") for number in range(POOLS)]
    for pool in pools:
        pool.reserve(1 << 20, 2, node)
    with nump.PressureMonitor() as monitor:
        mine = client.CollectorRegistry()
        collector = nump.MetricsCollector(
            pools=pools, monitor=monitor, balloon=nump.BalloonDriver()
        )
        mine.register(collector)
        theirs = client.CollectorRegistry()
        for kind in (client.ProcessCollector, client.PlatformCollector, client.GCCollector):
            kind(registry=theirs)
        assert client.generate_latest(mine).count(b"numapool_pool_hits_total{") >= POOLS
        ours = Contender(name="numapool", work=several_times(lambda: client.generate_latest(mine)))
        peer = Contender(
            name="process, platform and gc",
            work=several_times(lambda: client.generate_latest(theirs)),
        )
        times = race(benchmark, ours, [peer], rounds=60)
    record(
        benchmark,
        what=f"a scrape of {POOLS} pools, nodes, pressure and balloon",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
        at_most=20,
        repeats=REPEATS,
        note="prometheus_client's text included in both; the peer tells of 15 figures",
    )
    for pool in pools:
        pool.close()


#: A scrape of a process of as many mappings as it is told, in ns
#: of CPU time: those that ask the kernel for the
#: pages, and the median of those between.
_LARGE = """
import ctypes, json, statistics, sys, time
import numapool as nump
from prometheus_client import CollectorRegistry, generate_latest
count, page = int(sys.argv[1]), 4096
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
first = libc.mmap(None, ctypes.c_size_t(count * page), 3, 0x22, -1, ctypes.c_long(0))
ctypes.memset(first, 1, count * page)
for at in range(0, count, 2):
    if libc.mprotect(ctypes.c_void_p(first + at * page), ctypes.c_size_t(page), 1) != 0:
        sys.exit(f"mprotect: errno {ctypes.get_errno()}")
with nump.PressureMonitor() as monitor:
    while monitor.reading() is None:
        time.sleep(0.001)
    collector = nump.MetricsCollector(monitor=monitor, balloon=nump.BalloonDriver())
    registry = CollectorRegistry()
    registry.register(collector)
    def scrape():
        before = time.thread_time_ns()
        generate_latest(registry)
        return time.thread_time_ns() - before
    def first_scrape():
        collector._figures._locality._look = None
        return scrape()
    scrape()
    looks = [first_scrape() for _ in range(60 if count < 10_000 else 5)]
    between = [scrape() for _ in range(60)] if statistics.median(looks) > 20e6 else looks
print(json.dumps({"looks": looks, "between": between}))
"""


@pytest.mark.parametrize("mappings", [1000, 100_000])
def test_a_scrape_of_a_large_process(benchmark: BenchmarkFixture, mappings: int) -> None:
    client = pytest.importorskip("prometheus_client")
    theirs = client.CollectorRegistry()
    for kind in (client.ProcessCollector, client.PlatformCollector, client.GCCollector):
        kind(registry=theirs)
    peer_ns = []
    for _ in range(60):
        before = time.thread_time_ns()
        client.generate_latest(theirs)
        peer_ns.append(time.thread_time_ns() - before)
    with room_for(mappings) as count:
        pedantic: Any = benchmark.pedantic  # it has no annotations
        command = [sys.executable, "-c", _LARGE, str(count)]
        done = pedantic(subprocess.check_output, args=(command,))
    told = json.loads(done)
    for which, condition in (("looks", "the kernel walks the pages"), ("between", "between looks")):
        if which == "between" and told["between"] == told["looks"]:
            continue
        record(
            benchmark,
            what=f"a scrape of a process of {count} mappings",
            condition=condition,
            peer="process, platform and gc",
            ours_ns=told[which],
            peer_ns=peer_ns[: len(told[which])],
            note="at most a hundredth of the time is spent in looks",
        )

"""What does a scrape cost, beside that of prometheus_client's own collectors of the process?"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import numapool as nump
from benchmarks.support.figures import record
from benchmarks.support.race import Contender, race

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

"""How long does it take to allocate and close, size by size, beside bare system calls in C?"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.support.figures import record
from benchmarks.support.peers import BareCalls, bare_cycles, numapool_cycles
from benchmarks.support.race import race
from numapool import NumaAllocator

KIB, MIB = 1 << 10, 1 << 20
ROUNDS = 40
TARGETS = {64 * KIB: 1.5}


@pytest.mark.parametrize(
    ("size", "repeats"),
    [(4 * KIB, 400), (64 * KIB, 100), (1 * MIB, 10), (2 * MIB, 10)],
    ids=["4KiB", "64KiB", "1MiB", "2MiB"],
)
def test_cycle(
    benchmark: BenchmarkFixture,
    allocator: NumaAllocator,
    bare: BareCalls,
    node: int,
    size: int,
    repeats: int,
) -> None:
    ours = numapool_cycles(allocator, size, node, repeats)
    peer = bare_cycles(bare, size, node, repeats)
    for contender in (peer, ours):  # the same few pages go round from here on: warm
        contender.work()
    times = race(benchmark, ours, [peer], rounds=ROUNDS)
    record(
        benchmark,
        what=f"{size // KIB} KiB allocate+close",
        condition="warm",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
        at_most=TARGETS.get(size),
        repeats=repeats,
        note="from 2 MiB up numapool uses huge pages, the C loop base pages"
        if size >= 2 * MIB
        else "",
    )

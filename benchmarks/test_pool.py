"""What does a retained block cost, beside np.empty, beside libnuma's allocator, and for sets?"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import numapool
from benchmarks.support.figures import record
from benchmarks.support.generated import write_machine
from benchmarks.support.peers import BareCalls
from benchmarks.support.race import Contender, race
from benchmarks.support.warmth import warm_up

MIB = 1 << 20
LOOPS = 20_000


@pytest.fixture
def pool(node: int) -> Iterator[numapool.BufferPool]:
    with numapool.BufferPool() as pool:
        yield pool


@pytest.mark.parametrize("ask_node", [False, True], ids=["here", "node"])
def test_acquire_and_close(
    benchmark: BenchmarkFixture, pool: numapool.BufferPool, node: int, ask_node: bool
) -> None:
    import numpy as np

    def cycles() -> None:
        acquire = pool.acquire
        for _ in range(LOOPS):
            acquire(MIB).close()

    def cycles_on_node() -> None:
        acquire = pool.acquire
        for _ in range(LOOPS):
            acquire(MIB, node).close()

    def empties() -> None:
        empty, kind = np.empty, np.uint8
        for _ in range(LOOPS):
            empty(MIB, kind)

    ours = Contender(name="numapool", work=cycles_on_node if ask_node else cycles)
    peer = Contender(name="np.empty", work=empties)
    ours.work()
    times = race(benchmark, ours, [peer], rounds=30)
    assert pool.statistics().total.misses == 1
    record(
        benchmark,
        what="1 MiB acquire(size, node)+close" if ask_node else "1 MiB acquire(size)+close",
        condition="retained",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
        at_most=1.0,
        repeats=LOOPS,
    )


@pytest.mark.parametrize("size_mib", [1, 64, 256])
def test_touched(
    benchmark: BenchmarkFixture,
    pool: numapool.BufferPool,
    bare: BareCalls,
    libnuma: ctypes.CDLL,
    node: int,
    size_mib: int,
) -> None:
    import numpy as np

    size, loops = size_mib * MIB, max(1, 64 // size_mib)

    def retained() -> None:
        for _ in range(loops):
            with pool.acquire(size, node) as buffer:
                bare.touch(buffer.address, size)

    def from_libnuma() -> None:
        for _ in range(loops):
            address: int | None = libnuma.numa_alloc_onnode(size, node)
            if address is None:
                raise MemoryError(f"numa_alloc_onnode: no {size} bytes on node {node}")
            bare.touch(address, size)
            libnuma.numa_free(address, size)

    def from_numpy() -> None:
        for _ in range(loops):
            array = np.empty(size, np.uint8)
            bare.touch(array.ctypes.data, size)

    ours = Contender(name="numapool", work=retained)
    peers = [
        Contender(name="numa_alloc_onnode+touch+numa_free", work=from_libnuma),
        Contender(name="np.empty+touch", work=from_numpy),
    ]
    ours.work()
    warm_up(bare, max(size, 64 * MIB))
    times = race(benchmark, ours, peers, rounds=10, before=lambda contender: warm_up(bare, size))
    targets = {
        peers[0].name: 0.01 if size_mib != 64 else None,
        peers[1].name: 0.1 if size_mib != 1 else None,
    }
    for peer in peers:
        record(
            benchmark,
            what=f"{size_mib} MiB acquire+touch+close",
            condition="retained, warm",
            peer=peer.name,
            ours_ns=times[ours.name],
            peer_ns=times[peer.name],
            at_most=targets[peer.name],
            repeats=loops,
        )


@pytest.mark.parametrize("count", [1, 2])
def test_acquire_for_a_set(benchmark: BenchmarkFixture, tmp_path: Path, count: int) -> None:
    # Every CPU of this machine is of node 0 there, whose block is the one that both ask for.
    cpus = 2 * (os.cpu_count() or 1)
    machine = numapool.NumaTopology.from_sysfs(write_machine(tmp_path, nodes=2, cpus=cpus))
    some = numapool.NodeSet(range(count))
    with numapool.BufferPool(numapool.NumaAllocator(machine)) as pool:

        def by_set() -> None:
            acquire = pool.acquire
            for _ in range(LOOPS):
                acquire(MIB, some).close()

        def by_id() -> None:
            acquire = pool.acquire
            for _ in range(LOOPS):
                acquire(MIB, 0).close()

        ours = Contender(name="numapool", work=by_set)
        peer = Contender(name="acquire(size, 0)+close", work=by_id)
        peer.work()  # node 0 is this machine's too
        times = race(benchmark, ours, [peer], rounds=30)
        assert pool.statistics().total.misses == 1
    record(
        benchmark,
        what=f"1 MiB acquire(size, NodeSet of {count})+close",
        condition="retained",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
        at_most=1.5,
        repeats=LOOPS,
    )

"""Does a pool on a machine of 2048 CPUs and 32 nodes cost more than one on two CPUs?"""

from __future__ import annotations

import ctypes
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.support.figures import record
from benchmarks.support.generated import write_machine
from benchmarks.support.race import Contender, race
from numapool import BufferPool, NodeBuffer, NumaAllocator, NumaTopology

NODES, CPUS = 32, 2048
MIB = 1 << 20
MS = 1_000_000  # ns
LARGE = f"{CPUS} CPUs, {NODES} nodes"
SMALL = "2 CPUs, 1 node"


@pytest.fixture(scope="module")
def allocators(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NumaAllocator]:
    """Allocators of a large and of a small machine, both with this machine's memory."""
    sizes = {LARGE: (NODES, CPUS), SMALL: (1, 2)}
    return {
        name: NumaAllocator(
            NumaTopology.from_sysfs(
                write_machine(tmp_path_factory.mktemp("machine"), nodes=nodes, cpus=cpus)
            )
        )
        for name, (nodes, cpus) in sizes.items()
    }


class Mallinfo(ctypes.Structure):
    """What mallinfo2(3) tells."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"),
            *("uordblks", "fordblks", "keepcost"),
        )
    ]


def allocated_bytes() -> int:
    """What this process holds of malloc(); what is resident may be left of something else."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2  # glibc 2.33
    mallinfo2.restype = Mallinfo
    told = mallinfo2()
    return int(told.uordblks + told.hblkhd)


def compare(
    benchmark: BenchmarkFixture, what: str, contenders: dict[str, Contender], **options: Any
) -> float:
    """Race the two machines, record it and return the large one's median in nanoseconds."""
    rounds = options.pop("rounds")
    times = race(benchmark, contenders[LARGE], [contenders[SMALL]], rounds=rounds)
    figure = record(
        benchmark,
        what=f"{what}, {LARGE}",
        peer=SMALL,
        ours_ns=times[LARGE],
        peer_ns=times[SMALL],
        **options,
    )
    return figure.numapool_ns


def test_making_a_pool(benchmark: BenchmarkFixture, allocators: dict[str, NumaAllocator]) -> None:
    many = 20
    before = allocated_bytes()
    pools = [BufferPool(allocators[LARGE]) for _ in range(many)]
    each = (allocated_bytes() - before) / len(pools)
    contenders = {
        name: Contender(name=name, work=partial(BufferPool, one), undo=BufferPool.close)
        for name, one in allocators.items()
    }
    note = f"a pool for {LARGE} holds {each / 1024:.0f} KiB when it is made"
    assert compare(benchmark, "make a pool", contenders, rounds=30, note=note) <= 10 * MS
    assert 64 << 10 <= each <= 2 * MIB


def test_trim_of_an_empty_pool(
    benchmark: BenchmarkFixture, allocators: dict[str, NumaAllocator]
) -> None:
    pools = {name: BufferPool(one) for name, one in allocators.items()}
    for pool in pools.values():
        pool.acquire(MIB, 0).close()
        pool.trim()
    contenders = {name: Contender(name=name, work=pool.trim) for name, pool in pools.items()}
    assert compare(benchmark, "trim an empty pool", contenders, rounds=100) <= MS


def test_trim_of_a_full_pool(
    benchmark: BenchmarkFixture, allocators: dict[str, NumaAllocator]
) -> None:
    """It costs what is retained, not what the machine has."""
    pools = {name: BufferPool(one) for name, one in allocators.items()}

    def fill(pool: BufferPool) -> None:
        for buffer in [pool.acquire(64 << 10, 0) for _ in range(64)]:
            buffer.close()

    def trim(pool: BufferPool) -> BufferPool:
        pool.trim()
        return pool

    for pool in pools.values():
        fill(pool)
    contenders = {
        name: Contender(name=name, work=partial(trim, pool), undo=fill)
        for name, pool in pools.items()
    }
    compare(benchmark, "trim a pool of 4 MiB", contenders, rounds=100, at_most=1.5)


def test_statistics(benchmark: BenchmarkFixture, allocators: dict[str, NumaAllocator]) -> None:
    """They have a row for each node: 32 rows here, and one."""
    pools = {name: BufferPool(one) for name, one in allocators.items()}
    for pool in pools.values():
        pool.acquire(MIB, 0).close()
    contenders = {name: Contender(name=name, work=pool.statistics) for name, pool in pools.items()}
    taken = compare(benchmark, "statistics", contenders, rounds=300, at_most=NODES)
    assert taken <= MS


def test_topology(
    benchmark: BenchmarkFixture, allocators: dict[str, NumaAllocator], tmp_path: Path
) -> None:
    """All of it: CPUs, distances, what may be used."""
    trees = {
        LARGE: write_machine(tmp_path / "large", nodes=NODES, cpus=CPUS),
        SMALL: write_machine(tmp_path / "small", nodes=1, cpus=2),
    }

    def read(root: Path) -> int:
        topology = NumaTopology.from_sysfs(root)
        return len(topology.nodes) + len(topology.distance_matrix)

    contenders = {
        name: Contender(name=name, work=partial(read, one)) for name, one in trees.items()
    }
    taken = compare(benchmark, "topology", contenders, rounds=100, at_most=NODES)
    assert taken <= 2 * MS


def test_miss(benchmark: BenchmarkFixture, allocators: dict[str, NumaAllocator]) -> None:
    pools = {name: BufferPool(one, retain_bytes=0) for name, one in allocators.items()}
    contenders = {
        name: Contender(name=name, work=partial(pool.acquire, MIB, 0), undo=NodeBuffer.close)
        for name, pool in pools.items()
    }
    compare(benchmark, "1 MiB acquire, a miss", contenders, rounds=200, at_most=2.0)
    for name, pool in pools.items():
        assert pool.statistics().total.hits == 0, name

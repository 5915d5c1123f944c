"""What does NumPy gain from arrays in a pool, beside its own allocator and beside npynuma?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import numapool
from benchmarks.support.figures import record
from benchmarks.support.race import Contender, race

MIB = 1 << 20
# Bytes of an array, how often the expression is computed in a round, and the target.
SIZES = [
    (64, 20_000, 1.03),
    (16 << 10, 5_000, None),
    (64 << 10, 2_000, None),
    (256 << 10, 500, None),
    (MIB, 100, 1 / 0.97),
    (8 * MIB, 10, 1 / 0.97),
    (64 * MIB, 2, 1 / 1.2),
    (256 * MIB, 1, 1 / 1.1),
]


def _name(nbytes: int) -> str:
    return (
        f"{nbytes >> 20} MiB"
        if nbytes >= MIB
        else f"{nbytes >> 10 or nbytes} {'KiB' if nbytes >= 1024 else 'bytes'}"
    )


def _race_expression(
    benchmark: BenchmarkFixture,
    nbytes: int,
    work: Callable[[], object],
    peer: Contender,
    at_most: float | None,
    repeats: int,
) -> None:
    ours = Contender(name="numapool", work=work)
    ours.work()
    peer.work()
    times = race(benchmark, ours, [peer], rounds=15)
    record(
        benchmark,
        what=f"a * b + c, {_name(nbytes)} each",
        condition="retained",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
        at_most=at_most,
        repeats=repeats,
    )


@pytest.mark.parametrize(("nbytes", "repeats", "at_most"), SIZES, ids=[_name(s[0]) for s in SIZES])
def test_expression(
    benchmark: BenchmarkFixture, node: int, nbytes: int, repeats: int, at_most: float | None
) -> None:
    import numpy as np

    a, b, c = (np.full(nbytes // 8, value) for value in (1.5, 2.0, 3.0))

    def compute() -> None:
        for _ in range(repeats):
            _ = a * b + c

    allocator = numapool.numpy_allocator(node)

    def compute_in_pool() -> None:
        with allocator:
            compute()

    peer = Contender(name="NumPy's own", work=compute)
    _race_expression(benchmark, nbytes, compute_in_pool, peer, at_most, repeats)


@pytest.mark.parametrize("nbytes", [MIB, 8 * MIB, 64 * MIB], ids=_name)
def test_expression_beside_npynuma(benchmark: BenchmarkFixture, node: int, nbytes: int) -> None:
    """npynuma maps, binds and unmaps memory for every array, by numa_alloc_onnode."""
    import numpy as np

    npynuma = pytest.importorskip("npynuma", reason="the peer npynuma is not installed")
    a, b, c = (np.full(nbytes // 8, value) for value in (1.5, 2.0, 3.0))
    repeats = max(1, 16 * MIB // nbytes)

    def compute() -> None:
        for _ in range(repeats):
            _ = a * b + c

    def compute_under(handler: Any) -> None:
        with handler:
            compute()

    ours = partial(compute_under, numapool.numpy_allocator(node))
    peer = Contender(
        name="npynuma 0.1.0", work=partial(compute_under, npynuma.NumaPolicy(node=node))
    )
    _race_expression(benchmark, nbytes, ours, peer, 1 / 5, repeats)


def test_zeros_and_fill(benchmark: BenchmarkFixture, node: int) -> None:
    import numpy as np

    def fill() -> None:
        array = np.zeros(8 * MIB)
        array[:] = 1.0

    allocator = numapool.numpy_allocator(node)

    def fill_in_pool() -> None:
        with allocator:
            fill()

    ours = Contender(name="numapool", work=fill_in_pool)
    peer = Contender(name="NumPy's own", work=fill)
    ours.work()
    times = race(benchmark, ours, [peer], rounds=15)
    record(
        benchmark,
        what="np.zeros and fill, 64 MiB",
        condition="retained",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
        at_most=1 / 1.3,
    )

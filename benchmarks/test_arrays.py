"""What does an array of a pool cost, beside NumPy's own; and one over a buffer that is there?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import numapool
from benchmarks.support.figures import record
from benchmarks.support.race import Contender, race

MIB = 1 << 20
LOOPS = 20_000


@pytest.fixture
def pool(node: int) -> Iterator[numapool.BufferPool]:
    with numapool.BufferPool() as pool:
        yield pool


def _often(make: Callable[[], Any]) -> None:
    for _ in range(LOOPS):
        make()


def _race(
    benchmark: BenchmarkFixture,
    what: str,
    ours: Callable[[], Any],
    name: str,
    peer: Callable[[], Any],
    at_most: float | None,
) -> None:
    contenders = Contender(name="numapool", work=ours), Contender(name=name, work=peer)
    contenders[0].work()
    times = race(benchmark, contenders[0], [contenders[1]], rounds=30)
    record(
        benchmark,
        what=what,
        condition="retained",
        peer=name,
        ours_ns=times["numapool"],
        peer_ns=times[name],
        at_most=at_most,
        repeats=LOOPS,
    )


def test_empty(benchmark: BenchmarkFixture, pool: numapool.BufferPool) -> None:
    import numpy as np

    def ours() -> None:
        empty, kind = numapool.empty, np.float32
        for _ in range(LOOPS):
            empty((512, 512), kind, pool=pool)

    def numpys() -> None:
        empty, kind = np.empty, np.float32
        for _ in range(LOOPS):
            empty((512, 512), kind)

    _race(benchmark, "empty((512, 512), float32, pool=pool)", ours, "np.empty", numpys, 1.5)


def test_empty_beside_the_handler(benchmark: BenchmarkFixture, pool: numapool.BufferPool) -> None:
    import numpy as np

    def ours() -> None:
        empty, kind = numapool.empty, np.float32
        for _ in range(LOOPS):
            empty((512, 512), kind, pool=pool)

    def by_handler() -> None:
        empty, kind = np.empty, np.float32
        with numapool.numpy_allocator(pool=pool):
            for _ in range(LOOPS):
                empty((512, 512), kind)

    what = "empty((512, 512), float32, pool=pool)"
    _race(benchmark, what, ours, "np.empty under numpy_allocator", by_handler, 1.0)


def test_as_array(benchmark: BenchmarkFixture, pool: numapool.BufferPool) -> None:
    import numpy as np

    own = bytearray(MIB)
    with pool.acquire(MIB) as buffer:
        ours = partial(buffer.as_array, np.float32, (512, 512))

        def numpys() -> Any:
            return np.frombuffer(own, np.float32).reshape(512, 512)

        _race(
            benchmark,
            "buffer.as_array(float32, (512, 512))",
            partial(_often, ours),
            "np.frombuffer(bytearray).reshape",
            partial(_often, numpys),
            1.0,
        )


def test_frombuffer(benchmark: BenchmarkFixture, pool: numapool.BufferPool) -> None:
    import numpy as np

    own = bytearray(MIB)
    with pool.acquire(MIB) as buffer:
        _race(
            benchmark,
            "np.frombuffer(buffer, float32)",
            partial(_often, partial(np.frombuffer, buffer, np.float32)),
            "np.frombuffer of a bytearray",
            partial(_often, partial(np.frombuffer, own, np.float32)),
            None,
        )

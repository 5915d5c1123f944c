"""Is wrapping a buffer for NumPy, DLPack or Arrow independent of its size?"""

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
REPEATS = 2_000


def _by_frombuffer(buffer: numapool.NodeBuffer) -> Any:
    import numpy as np

    return partial(np.frombuffer, buffer, np.uint8)


def _by_dlpack(buffer: numapool.NodeBuffer) -> Any:
    import numpy as np

    return partial(np.from_dlpack, buffer)


def _by_arrow(buffer: numapool.NodeBuffer) -> Any:
    arrow = pytest.importorskip("pyarrow")
    return partial(arrow.py_buffer, buffer)


@pytest.mark.parametrize(
    ("name", "wrapper"),
    [
        ("np.frombuffer", _by_frombuffer),
        ("np.from_dlpack", _by_dlpack),
        ("pyarrow.py_buffer", _by_arrow),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrapping_does_not_depend_on_the_size(
    benchmark: BenchmarkFixture,
    allocator: numapool.NumaAllocator,
    node: int,
    name: str,
    wrapper: Callable[[numapool.NodeBuffer], Any],
) -> None:
    """A copy of the larger one would take 16,384 times as long."""
    large, small = (allocator.allocate(size, node) for size in (1024 * MIB, MIB // 16))

    def wrap_often(wrap: Callable[[], Any]) -> None:
        for _ in range(REPEATS):
            wrap()

    ours = Contender(name="1 GiB", work=partial(wrap_often, wrapper(large)))
    peer = Contender(name="the same of 64 KiB", work=partial(wrap_often, wrapper(small)))
    ours.work()
    peer.work()
    times = race(benchmark, ours, [peer], rounds=25)
    record(
        benchmark,
        what=f"{name} of 1 GiB",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
        at_most=1.1,
        repeats=REPEATS,
    )

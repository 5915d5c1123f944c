"""What does proof cost: strict beside default, placement() beside asking about every page?"""

from __future__ import annotations

from typing import Literal

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.support.figures import record
from benchmarks.support.peers import BareCalls, numapool_allocate
from benchmarks.support.race import Contender, race
from benchmarks.support.warmth import warm_up
from numapool import NumaAllocator

SIZE = 256 << 20
PageSize = Literal["base", "transparent"]
PAGE_SIZES: dict[PageSize, str] = {"base": "base pages", "transparent": "huge pages"}


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_strict(
    benchmark: BenchmarkFixture,
    allocator: NumaAllocator,
    bare: BareCalls,
    node: int,
    page_size: PageSize,
) -> None:
    ours = numapool_allocate(allocator, SIZE, node, page_size=page_size, strict=True)
    default = numapool_allocate(allocator, SIZE, node, page_size=page_size)
    peer = Contender(name="numapool, not strict", work=default.work, undo=default.undo)
    times = race(benchmark, ours, [peer], rounds=10, before=lambda contender: warm_up(bare, SIZE))
    record(
        benchmark,
        what=f"256 MiB strict, {PAGE_SIZES[page_size]}",
        condition="warm",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
    )


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_placement(
    benchmark: BenchmarkFixture,
    allocator: NumaAllocator,
    bare: BareCalls,
    node: int,
    page_size: PageSize,
) -> None:
    with allocator.allocate(SIZE, node, page_size=page_size) as buffer:
        address = buffer.address
        ours = Contender(name="numapool", work=buffer.placement)
        peer = Contender(
            name="move_pages, every base page",
            work=lambda: bare.count_on_node(address, SIZE, node),
        )
        on_node = bare.count_on_node(address, SIZE, node) * 4096
        assert on_node == buffer.placement().bytes_by_node[node]
        times = race(benchmark, ours, [peer], rounds=20)
    record(
        benchmark,
        what=f"256 MiB placement(), {PAGE_SIZES[page_size]}",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
    )

"""Random calls of the Python surface: any argument is taken or refused by a documented error."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import numapool as nump

#: More of them outside of the short run: `make fuzz`.
EXAMPLES = int(os.environ.get("NUMAPOOL_FUZZ_EXAMPLES", "60"))
RANDOM = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="NUMAPOOL_FUZZ_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

#: What an argument of the wrong kind or size may raise; nothing else may come out.
REFUSALS = (TypeError, ValueError, OverflowError, MemoryError, OSError)

edges = st.sampled_from(
    [
        sign * (2**exponent + offset)
        for exponent in (0, 8, 12, 16, 21, 31, 32, 36, 47, 52, 62, 63, 64, 128)
        for offset in (-1, 0, 1)
        for sign in (1, -1)
    ]
)
numbers = st.one_of(st.integers(-3, 70_000), edges, st.integers())
#: Sizes that are nothing, or tell at once that no machine has them; small ones are really had.
sizes = numbers.filter(lambda size: not 1 << 24 < size < 1 << 44)
others = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.lists(st.integers(), max_size=2),
)
nodes = st.one_of(st.none(), st.integers(-2, 3), edges, others)
page_sizes = st.one_of(
    st.sampled_from(["auto", "base", "transparent", "huge", ""]), numbers, others
)


@pytest.fixture(scope="module")
def pool() -> nump.BufferPool:
    return nump.BufferPool(max_bytes=128 << 20, zero_on_reuse=True)


def survives(call: Callable[[], Any]) -> None:
    try:
        made = call()
    except REFUSALS as error:
        assert str(error) or isinstance(error, MemoryError)
        return
    close = getattr(made, "close", None)
    if close is not None:
        close()


@RANDOM
@given(
    size=st.one_of(sizes, others),
    node=nodes,
    page_size=page_sizes,
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")
def test_allocate(
    allocator: nump.NumaAllocator,
    size: Any,
    node: Any,
    page_size: Any,
    flags: tuple[bool, bool, bool],
) -> None:
    strict, populate, dump = flags
    options = {"page_size": page_size, "strict": strict, "populate": populate, "dump": dump}
    survives(lambda: allocator.allocate(size, node, **options))
    survives(
        lambda: allocator.allocate_interleaved(size, None if node is None else [node], **options)
    )


@RANDOM
@given(size=st.one_of(sizes, others), node=nodes, count=st.one_of(numbers, others))
@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")
def test_pools_and_rings(pool: nump.BufferPool, size: Any, node: Any, count: Any) -> None:
    survives(lambda: pool.acquire(size, node))
    survives(lambda: pool.trim(size, node))
    # A ring holds what it says: either one number is small, or no machine has so much.
    small = isinstance(size, int) and isinstance(count, int) and size * count > 1 << 24
    if not small or size * count > 1 << 44:
        survives(lambda: pool.ring(size, count, node))
    assert pool.statistics().total.in_use_bytes == 0


@RANDOM
@given(limits=st.tuples(*[st.one_of(numbers, others)] * 2), idle=others, page_size=page_sizes)
def test_making_pools(limits: tuple[Any, Any], idle: Any, page_size: Any) -> None:
    survives(lambda: nump.BufferPool(None, *limits, idle_s=idle, page_size=page_size))


@RANDOM
@given(node=nodes, data=st.binary(min_size=1, max_size=64))
@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")
def test_migrate_keeps_every_byte(allocator: nump.NumaAllocator, node: Any, data: bytes) -> None:
    with allocator.allocate(20_000) as buffer:
        view = memoryview(buffer)
        view[5000 : 5000 + len(data)] = data
        survives(lambda: buffer.migrate(node))
        assert bytes(view[5000 : 5000 + len(data)]) == data
        view.release()


@RANDOM
@given(
    values=st.dictionaries(
        st.sampled_from(
            [
                "window_s",
                "poll_s",
                "margin_bytes",
                "relief_s",
                "cooldown_s",
                "hysteresis",
                "critical_share",
                "step_bytes",
            ]
        ),
        st.one_of(numbers, others),
    )
)
def test_policies(values: dict[str, Any]) -> None:
    survives(lambda: nump.PressurePolicy(**values))


@RANDOM
@given(path=st.one_of(st.text(max_size=40), others))
def test_devices(allocator: nump.NumaAllocator, path: Any) -> None:
    survives(lambda: allocator.device_node(path))
    survives(lambda: nump.device_locality(path))


@RANDOM
@given(node=nodes)
def test_nodes_that_there_are_not(allocator: nump.NumaAllocator, node: Any) -> None:
    topology = allocator.topology
    for call in (topology.node, topology.nearest, topology.node_of_cpu):
        survives(lambda call=call: call(node))
    survives(lambda: nump.NodeExecutor(node, 1).shutdown())

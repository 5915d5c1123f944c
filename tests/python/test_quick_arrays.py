"""The short way of empty, zeros and as_array makes what NumPy and the long way make."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import numapool as nump
from numapool.arrays import creation

LONG: dict[str, Callable[..., Any]] = {
    "empty": inspect.unwrap(nump.empty),
    "zeros": inspect.unwrap(nump.zeros),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[nump.BufferPool]:
    with nump.BufferPool() as pool:
        yield pool


def outcome(make: Callable[..., Any], *values: object, **named: object) -> tuple[Any, ...]:
    """What a call comes to: what can be seen of the array, or of the error."""
    try:
        array = make(*values, **named)
    except Exception as error:
        return type(error), str(error)
    return (
        type(array),
        array.shape,
        array.strides,
        array.dtype,
        array.flags.writeable,
        array.flags.aligned,
        array.flags.c_contiguous,
        array.flags.f_contiguous,
        array.flags.owndata,
        type(array.base),
    )


lengths = st.integers(-1, 5) | st.sampled_from([True, 2**40, 2**70, 1.5, np.int64(3), None])
shapes = (
    lengths
    | st.lists(lengths, max_size=4)
    | st.lists(st.integers(1, 4), max_size=4).map(tuple)
    | st.lists(lengths, max_size=4).map(tuple)
    | st.sampled_from(["3", (1,) * 33, (1,) * 65, np.array([2, 3]), range(3), {2: 1}])
)


class _Named:
    dtype = np.dtype("f4")


dtypes = (
    hnp.scalar_dtypes()
    | hnp.array_dtypes()
    | hnp.nested_dtypes()
    | st.sampled_from(
        [float, int, bool, complex, bytes, str, object, None, "f4", ">i2", "S", "U3", "V0", "O"]
    )
    | st.sampled_from([np.float32, np.float64, np.int8, np.void, np.floating, np.object_, _Named])
    | st.sampled_from(["nonsense", "f4,i8", [("a", "f4"), ("b", object)], (int, (2,)), 3, dict])
)
orders = st.sampled_from(["C", "F", "A", "c", None, 1])


@given(st.sampled_from(sorted(LONG)), shapes, dtypes, orders)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_makes_what_the_long_way_makes(
    pool: nump.BufferPool, name: str, shape: Any, dtype: Any, order: Any
) -> None:
    quick: Callable[..., Any] = getattr(nump, name)
    expected = outcome(LONG[name], shape, dtype, order, pool=pool)
    assert outcome(quick, shape, dtype, order, pool=pool) == expected
    assert outcome(quick, dtype=dtype, shape=shape, pool=pool, order=order) == expected


@given(hnp.array_shapes(min_dims=0, max_dims=4), hnp.nested_dtypes(), st.sampled_from("CF"))
def test_it_makes_what_numpy_makes(
    pool: nump.BufferPool, shape: Any, dtype: Any, order: Any
) -> None:
    array = nump.zeros(shape, dtype, order, pool=pool)
    numpys = np.zeros(shape, dtype, order)
    assert (array.shape, array.strides, array.dtype) == (numpys.shape, numpys.strides, numpys.dtype)
    assert array.tobytes() == numpys.tobytes()


@given(dtypes, st.none() | shapes)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_as_array_makes_what_the_long_way_makes(
    pool: nump.BufferPool, dtype: Any, shape: Any
) -> None:
    buffer = pool.acquire(100)
    buffers_own, long = (
        outcome(buffer.as_array, dtype, shape),
        outcome(creation.array_over, buffer, dtype, shape),
    )
    # The long way leaves an array in between.
    assert buffers_own[:-1] == long[:-1]
    assert outcome(buffer.as_array, shape=shape, dtype=dtype) == buffers_own
    buffer.close()


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((3, float, "C", None), {}),
    ((3,), {"shape": 3}),
    ((3, float), {"dtype": float}),
    ((3,), {"nonsense": 1}),
    ((3,), {"strict": 0}),
    ((3,), {"strict": "no"}),
    ((3,), {"page_size": "base"}),
    ((3,), {"allocator": 3}),
    ((3,), {"node": -1}),
    ((3,), {"node": 2**70}),
    ((3,), {"node": "nonsense"}),
    ((3,), {"node": nump.NodeSet()}),
    ((3,), {"node": 1.5}),
    ((2**61, float), {}),
]


@pytest.mark.parametrize(("values", "named"), CALLS)
def test_calls_are_refused_in_the_same_words(
    pool: nump.BufferPool, values: tuple[Any, ...], named: dict[str, Any]
) -> None:
    for name, long in LONG.items():
        quick: Callable[..., Any] = getattr(nump, name)
        assert outcome(quick, *values, pool=pool, **named) == outcome(
            long, *values, pool=pool, **named
        )
        assert outcome(quick, *values, pool=3, **named) == outcome(long, *values, pool=3, **named)


def test_a_closed_pool_and_a_full_one_say_so() -> None:
    with nump.BufferPool(max_bytes="1MiB") as pool, pytest.raises(nump.PoolExhaustedError):
        nump.empty(2 << 20, np.uint8, pool=pool)
    with pytest.raises(ValueError, match="the pool is closed"):
        nump.empty(8, np.uint8, pool=pool)
    assert nump.empty((0, 8), pool=pool).shape == (0, 8)


def test_a_pool_of_another_class_lends_by_its_own_method() -> None:
    class Counting(nump.BufferPool):
        asked = 0

        def acquire(self, *values: Any, **named: Any) -> nump.NodeBuffer:
            self.asked += 1
            return super().acquire(*values, **named)

    with Counting() as pool:
        assert nump.empty(8, pool=pool).shape == (8,)
        assert pool.asked == 1


def test_the_block_goes_back_with_the_last_view() -> None:
    with nump.BufferPool() as pool:
        array = nump.empty((64, 64), np.float32, pool=pool)
        part, flat = array[3:5], array.reshape(-1)
        assert part.base.__class__ is flat.base.__class__
        del array
        gc.collect()
        assert pool.statistics().total.in_use_bytes > 0
        flat[:] = 7
        assert part.tolist() == [[7.0] * 64] * 2
        del part, flat
        assert pool.statistics().total.in_use_bytes == 0


def test_zeros_clears_what_an_array_before_left() -> None:
    with nump.BufferPool() as pool:
        for size in (4096, 1 << 20):
            nump.empty(size, np.uint8, pool=pool)[:] = 255
            assert not nump.zeros(size, np.uint8, pool=pool).any()
    with nump.BufferPool(zero_on_reuse=True) as pool:
        nump.empty(4096, np.uint8, pool=pool)[:] = 255
        assert not nump.empty(4096, np.uint8, pool=pool).any()


def test_several_nodes_are_taken(pool: nump.BufferPool, node: int) -> None:
    for wanted in (node, str(node), [node], nump.nodes([node])):
        base: Any = nump.empty((4, 4), pool=pool, node=wanted).base
        assert base.requested_node == node


def test_it_is_a_function_to_everybody() -> None:
    for name, long in LONG.items():
        quick: Any = getattr(nump, name)
        assert inspect.signature(quick) == inspect.signature(long)
        assert inspect.isroutine(quick)
        assert (quick.__name__, quick.__doc__) == (name, long.__doc__)
        assert pickle.loads(pickle.dumps(quick)) is quick
        assert copy.deepcopy(quick) is quick
        assert weakref.ref(quick)() is quick
        assert repr(quick) == f"<numapool function {name}>"
        made: Any = type("Uses", (), {"make": quick})
        with pytest.raises(TypeError, match="shape must be"):
            made().make()
        assert made.make(3).shape == (3,)

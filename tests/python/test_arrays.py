"""empty, zeros, full, asarray: NumPy arrays on a node, zero copy."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import numapool as nump


def owner_of(array: np.ndarray) -> nump.NodeBuffer:
    base: Any = array.base
    while not isinstance(base, nump.NodeBuffer):
        base = base.obj if isinstance(base, memoryview) else base.base
    return base


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [7, (3,), (2, 3), (4, 5, 6), ()])
def test_empty_is_a_view_of_a_node_buffer(
    node: int, shape: int | tuple[int, ...], order: str
) -> None:
    array = nump.empty(shape, np.int32, order, node=node, strict=True)  # type: ignore[arg-type]
    expected = np.empty(shape, np.int32, order)  # type: ignore[call-overload]
    assert (array.shape, array.dtype, array.strides) == (
        expected.shape,
        expected.dtype,
        expected.strides,
    )
    assert array.flags.writeable
    owner = owner_of(array)
    assert owner.node_id == node
    assert array.__array_interface__["data"][0] == owner.address
    assert owner.placement().bytes_by_node.keys() == {node}


def test_zeros_full_and_asarray_hold_what_numpys_do(node: int) -> None:
    assert (nump.zeros((5, 4), np.int16, node=node) == 0).all()
    full = nump.full((2, 2), 7, node=node)
    assert full.dtype == np.full((2, 2), 7).dtype
    assert (full == 7).all()
    assert nump.full(3, 1.9, np.int8).tolist() == np.full(3, 1.9, np.int8).tolist()
    row = np.arange(6)
    copied = nump.asarray(row, np.float32, node=node)
    assert copied.tolist() == row.tolist()
    assert copied.dtype == np.float32
    copied[0] = 100
    assert row[0] == 0


@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0)))
def test_asarray_keeps_any_array(data: np.ndarray) -> None:
    copied = nump.asarray(data)
    np.testing.assert_array_equal(copied, data)
    assert copied.dtype == data.dtype


@given(st.integers(-5, -1))
def test_negative_dimensions_are_refused(one: int) -> None:
    with pytest.raises(ValueError, match="each of shape must be at least 0, not"):
        nump.empty((3, one))


def test_the_owner_lives_as_long_as_a_view() -> None:
    part = nump.full(1 << 18, 3.0)[17:19]
    gc.collect()
    nump.full(1 << 18, 9.0)
    assert part.tolist() == [3.0, 3.0]


def test_arrays_without_bytes_are_numpys_own() -> None:
    assert nump.empty((0, 3)).shape == (0, 3)
    assert nump.zeros(4, "V0").nbytes == 0


@pytest.mark.parametrize("dtype", ["S", "U", bytes, str])
def test_strings_without_a_length_are_placed_and_zeroed(dtype: Any) -> None:
    for shape in ((), 1000):
        array = nump.zeros(shape, dtype)
        assert array.dtype == np.zeros(shape, dtype).dtype
        assert not any(array.tobytes())
        assert owner_of(array).nbytes >= array.nbytes > 0


@pytest.mark.parametrize("dtype", [object, np.dtype([("a", object)])])
def test_python_objects_are_refused(dtype: object) -> None:
    with pytest.raises(TypeError, match="Python objects"):
        nump.empty(3, dtype)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [np.int64(3), np.array(3), np.array([2, 3]), range(3), [2, 1]])
def test_shapes_are_what_numpy_takes(shape: Any) -> None:
    assert nump.zeros(shape).shape == np.zeros(shape).shape


@pytest.mark.parametrize("shape", [True, (False, 2), {2: 3}, {2}, 2.0, "2"])
def test_shapes_that_numpy_refuses_are_refused(shape: Any) -> None:
    with pytest.raises(TypeError):
        np.zeros(shape)
    with pytest.raises(TypeError):
        nump.zeros(shape)


def test_absurd_shapes_raise_memory_error() -> None:
    with pytest.raises(MemoryError):
        nump.zeros((2**40, 2**40))
    with pytest.raises(MemoryError):
        nump.zeros(2**50)


@pytest.mark.parametrize("pooled", [False, True], ids=["system", "pool"])
def test_the_memory_of_an_array_cannot_be_closed_under_it(pooled: bool, node: int) -> None:
    with nump.BufferPool() as pool:
        array = nump.full((3, 100), 7, np.int64, node=node, pool=pool if pooled else None)
        buffer = array.base
        assert isinstance(buffer, nump.NodeBuffer)
        with pytest.raises(BufferError, match="it is the memory of an array"):
            buffer.close()
        with buffer:
            pass
        assert not buffer.closed
        part = array[1]
        del array, buffer
        with pool.acquire(2400, node) as other:
            memoryview(other)[:] = bytes(2400)
        assert part.tolist() == [7] * 100


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("fill_value", lambda: nump.full(3, 2**70, dtype=np.int8)),
        ("data", lambda: nump.asarray([2**70], dtype=np.int8)),
    ],
)
def test_numbers_that_the_dtype_does_not_hold(name: str, make: Callable[[], object]) -> None:
    with pytest.raises(OverflowError, match=f"^{name} must be what NumPy can"):
        make()

"""NumPy arrays whose memory lives on a node, without a copy."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, TypedDict, TypeVar, Unpack, cast

from numapool import _core
from numapool.base import arguments
from numapool.machine.node_set import NodeSet, NodesLike, several_of
from numapool.memory.allocator import NodeBuffer, NumaAllocator, PageSize
from numapool.pools.pool import BufferPool

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_SHAPE = "an integer or an iterable of integers"
_DTYPE = "a data type of NumPy without Python objects"

Shape = SupportsIndex | Iterable[SupportsIndex]
Order = Literal["C", "F"]
Function = TypeVar("Function", bound=Callable[..., Any])


class ArrayOptions(TypedDict, total=False):
    """What every function of this module takes by keyword; see :func:`empty`."""

    node: NodesLike | None
    strict: bool
    page_size: PageSize | None
    allocator: NumaAllocator | None
    pool: BufferPool | None


@functools.cache
def _default_allocator() -> NumaAllocator:
    return NumaAllocator()


def _dimension(length: Any) -> int:
    if type(length) is int:
        return length
    if isinstance(length, bool):  # NumPy takes none either
        raise TypeError(arguments.must_be("each of shape", "an integer", length))
    return arguments.integer("each of shape", length)


def _dimensions(shape: Shape) -> tuple[int, ...]:
    if isinstance(shape, tuple):
        dimensions = tuple(map(_dimension, shape))
    elif isinstance(shape, int):
        dimensions = (_dimension(shape),)
    else:
        dimensions = _dimensions_of_others(shape)
    if any(one < 0 for one in dimensions):
        raise ValueError(f"each of shape must be at least 0, not {min(dimensions)}")
    return dimensions


def _dimensions_of_others(shape: Shape) -> tuple[int, ...]:
    if isinstance(shape, Mapping | Set):
        raise TypeError(arguments.must_be("shape", _SHAPE, shape))
    if isinstance(shape, Iterable) and getattr(shape, "ndim", 1) != 0:
        return tuple(map(_dimension, shape))
    # NumPy's integers, and its arrays without dimensions
    return (arguments.integer("shape", shape, _SHAPE),)  # type: ignore[arg-type]


def _dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    import numpy as np

    try:
        kind = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError) as error:  # it evaluates numbers in strings
        raise _renamed(error, arguments.must_be("dtype", _DTYPE, dtype)) from error
    if kind.hasobject:
        raise TypeError(
            f"dtype must be {_DTYPE}, not {kind}: objects cannot live in memory of a node"
        )
    if kind.itemsize == 0:  # of strings without a length NumPy makes some of length 1
        kind = np.empty((), kind).dtype
    return kind


def _quick(*, zeroed: bool) -> Callable[[Function], Function]:
    """Give a function a shorter way in C, where a pool is given and all arguments are plain.

    Any other call is the function's, as if nothing stood before it.
    """

    def wrapped(function: Function) -> Function:
        quick = _core.QuickArray(function, BufferPool, NodeSet, zeroed)
        return cast("Function", functools.update_wrapper(quick, function))

    return wrapped


@_quick(zeroed=False)
def empty(
    shape: Shape,
    dtype: npt.DTypeLike = float,
    order: Order = "C",
    *,
    node: NodesLike | None = None,
    strict: bool = False,
    page_size: PageSize | None = None,
    allocator: NumaAllocator | None = None,
    pool: BufferPool | None = None,
) -> npt.NDArray[Any]:
    """Make an array on a node, without setting its elements.

    The array is a view of a :class:`NodeBuffer`, its ultimate ``base``, which lives as long as the
    array or any view of it. Every page is resident when the call returns. Memory from the system is
    zero; from a pool it is whatever an array before left there.

    Parameters
    ----------
    shape : int or iterable of int
        The array's shape. An array without bytes needs no node and is NumPy's own.
    dtype : data-type
        Any dtype without Python objects.
    order : "C" or "F"
        Row-major or column-major.
    node : NodesLike, optional
        The node; by default that of the calling thread. Of several nodes, as for
        :meth:`NumaAllocator.allocate`, or :meth:`BufferPool.acquire` where a pool is given.
    strict, page_size
        As for :meth:`NumaAllocator.allocate`.
    allocator : NumaAllocator, optional
        The allocator to use; by default one for the whole process.
    pool : BufferPool, optional
        Where to take the memory from, and where it goes once the array and its views are gone; it
        has an allocator and a page size of its own.

    Raises
    ------
    TypeError
        A dtype that holds Python objects; a pool together with an allocator or a page size.
    PoolExhaustedError
        The pool is at its max_bytes.
    ValueError, MemoryError, NodeNotFoundError, PlacementError, UnsupportedError
        As for :meth:`NumaAllocator.allocate`.
    """
    return _make(shape, dtype, order, node, strict, page_size, allocator, pool, zeroed=False)


@_quick(zeroed=True)
def zeros(
    shape: Shape,
    dtype: npt.DTypeLike = float,
    order: Order = "C",
    *,
    node: NodesLike | None = None,
    strict: bool = False,
    page_size: PageSize | None = None,
    allocator: NumaAllocator | None = None,
    pool: BufferPool | None = None,
) -> npt.NDArray[Any]:
    """Make an array of zeros on a node; parameters and errors as for :func:`empty`."""
    return _make(shape, dtype, order, node, strict, page_size, allocator, pool, zeroed=True)


def _make(
    shape: Shape,
    dtype: npt.DTypeLike,
    order: Order,
    node: NodesLike | None,
    strict: bool,
    page_size: PageSize | None,
    allocator: NumaAllocator | None,
    pool: BufferPool | None,
    *,
    zeroed: bool,
) -> npt.NDArray[Any]:
    import numpy as np

    if pool is not None:
        if type(pool) is not BufferPool:
            arguments.instance("pool", pool, BufferPool)
        if allocator is not None or page_size is not None:
            raise TypeError(
                "pool must be None where allocator or page_size is given, for it has its own, not "
                "a BufferPool"
            )
    elif allocator is not None:
        arguments.optional_instance("allocator", allocator, NumaAllocator)
    if type(order) is not str or order != "C":
        arguments.choice("order", order, ("C", "F"))
    if strict is not False:
        arguments.flag("strict", strict)
    wanted = several_of("node", node)
    kind = _dtype(dtype)
    dimensions = _dimensions(shape)
    size = math.prod(dimensions) * kind.itemsize
    if size == 0:
        return np.zeros(dimensions, kind, order)
    if pool is not None:
        acquire = pool._acquire_zeroed if zeroed else pool.acquire
        buffer = acquire(size, wanted, strict=strict)
    else:
        chosen = _default_allocator() if allocator is None else allocator
        pages = "auto" if page_size is None else page_size
        buffer = chosen.allocate(size, wanted, strict=strict, page_size=pages)
    buffer._give_to_array()  # which keeps the object, but no view of it
    return np.ndarray(dimensions, kind, buffer=buffer, order=order)  # type: ignore[arg-type]


def array_over(
    buffer: NodeBuffer, /, dtype: npt.DTypeLike = "uint8", shape: Shape | None = None
) -> npt.NDArray[Any]:
    """Return an array of a buffer's memory; it is :meth:`NodeBuffer.as_array`."""
    import numpy as np

    kind = _dtype(dtype)
    dimensions = (buffer.nbytes // kind.itemsize,) if shape is None else _dimensions(shape)
    size = math.prod(dimensions) * kind.itemsize
    if size > buffer.nbytes:
        raise ValueError(
            f"shape must be of at most the buffer's {buffer.nbytes} bytes, not {dimensions} of "
            f"{kind} ({size} bytes)"
        )
    if size == 0:
        buffer.address  # noqa: B018 - ValueError where it is closed
        return np.empty(dimensions, kind)
    # Unlike np.ndarray(buffer=), this keeps a view of the buffer.
    count = size // kind.base.itemsize
    flat: npt.NDArray[Any] = np.frombuffer(buffer, kind.base, count)  # type: ignore[call-overload]
    return flat.reshape(dimensions + kind.shape)


def full(
    shape: Shape,
    fill_value: Any,
    dtype: npt.DTypeLike | None = None,
    order: Order = "C",
    **options: Unpack[ArrayOptions],
) -> npt.NDArray[Any]:
    """Make an array filled with `fill_value` on a node; the dtype is the value's unless given.

    Parameters and errors as for :func:`empty`, and for :func:`numpy.full`.
    """
    import numpy as np

    kind = np.asarray(fill_value).dtype if dtype is None else dtype
    array = empty(shape, kind, order, **options)
    try:
        np.copyto(array, fill_value, casting="unsafe")
    except (TypeError, ValueError, OverflowError) as error:
        takes = f"what NumPy can fill an array of shape {array.shape} and dtype {array.dtype} with"
        raise _renamed(error, arguments.must_be("fill_value", takes, fill_value)) from error
    return array


def _renamed(error: Exception, words: str) -> Exception:
    """Return the same kind of error, which says which parameter it is about."""
    kinds = (ValueError, OverflowError)
    kind = next((one for one in kinds if isinstance(error, one)), TypeError)
    return kind(f"{words}: {error}")


def asarray(
    data: npt.ArrayLike,
    dtype: npt.DTypeLike | None = None,
    order: Order = "C",
    **options: Unpack[ArrayOptions],
) -> npt.NDArray[Any]:
    """Copy `data` into an array on a node.

    Unlike :func:`numpy.asarray` it always copies, for where existing memory lives is not its own to
    choose. Parameters and errors as for :func:`empty`.
    """
    import numpy as np

    try:
        source = np.asarray(data, None if dtype is None else _dtype(dtype))
    except (TypeError, ValueError, OverflowError) as error:
        if str(error).startswith("dtype "):
            raise
        takes = "what NumPy can make an array of the dtype of"
        raise _renamed(error, arguments.must_be("data", takes, data)) from error
    array = empty(source.shape, source.dtype, order, **options)
    np.copyto(array, source)
    return array

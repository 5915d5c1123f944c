"""Finds the memory of an object: an array, a tensor, Arrow data, or any buffer."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from numapool import _core
from numapool.base import arguments
from numapool.memory.placement import Placement


def extents_of(obj: Any) -> list[_core.Extent]:
    """Return the memory of an object, for the core.

    Raises
    ------
    TypeError
        The object has no memory that can be told.
    ValueError
        Its memory is a device's.
    """
    if hasattr(obj, "data_ptr") and hasattr(obj, "element_size"):
        return [_tensor(obj)]
    if hasattr(obj, "columns") and hasattr(obj, "num_rows"):  # Table, RecordBatch
        return [one for column in obj.columns for one in extents_of(column)]
    if hasattr(obj, "chunks") and hasattr(obj, "num_chunks"):  # ChunkedArray
        return [one for chunk in obj.chunks for one in extents_of(chunk)]
    if callable(getattr(obj, "buffers", None)) and hasattr(obj, "null_count"):
        return _arrow_array(obj)
    interface = getattr(obj, "__array_interface__", None)
    if hasattr(obj, "strides") and isinstance(interface, dict):
        address = interface["data"][0]
        return [_extent(address, obj.itemsize, zip(obj.shape, obj.strides, strict=True))]
    try:
        return [_core.extent_of(obj)]
    except TypeError:
        if hasattr(obj, "__dlpack__"):
            import numpy as np

            return extents_of(np.from_dlpack(obj))
    takes = (
        "an array, a tensor, an Arrow array or table, or an object with the buffer protocol "
        "(bytes, bytearray, mmap)"
    )
    raise TypeError(arguments.must_be("obj", takes, obj))


def _extent(address: int, item_bytes: int, dimensions: Iterable[tuple[int, int]]) -> _core.Extent:
    """Describe an array: `dimensions` are counts and strides in bytes."""
    return _core.Extent(address, item_bytes, list(dimensions))


def _tensor(tensor: Any) -> _core.Extent:
    if tensor.device.type != "cpu":
        raise ValueError(f"the tensor is in the memory of {tensor.device}, which is on no node")
    if not str(tensor.layout).endswith("strided"):
        raise TypeError(
            f"a tensor of layout {tensor.layout} has parts: give its values and indices"
        )
    item = tensor.element_size()
    strides = (stride * item for stride in tensor.stride())
    return _extent(tensor.data_ptr(), item, zip(tensor.shape, strides, strict=True))


def _arrow_array(array: Any) -> list[_core.Extent]:
    storage = getattr(array, "storage", None)
    if storage is not None:  # of an extension type
        return extents_of(storage)
    found: list[_core.Extent] = []
    for buffer in array.buffers():
        if buffer is None or buffer.size == 0:
            continue
        if not buffer.is_cpu:
            raise ValueError("the Arrow data is in a device's memory, which is on no node")
        found.append(_extent(buffer.address, 1, [(buffer.size, 1)]))
    dictionary = getattr(array, "dictionary", None)
    return found if dictionary is None else list(itertools.chain(found, extents_of(dictionary)))


def placement_of(obj: Any) -> Placement:
    """Tell where the pages of an object's memory are, whoever allocated it.

    Parameters
    ----------
    obj : object
        A NumPy array (contiguous or not), a torch tensor of the CPU, an Arrow buffer, array, record
        batch or table, or anything with the buffer protocol: bytes, bytearray, mmap, NodeBuffer,
        SharedNodeBuffer.

    Returns
    -------
    Placement
        Read from the system at this call. Whole pages are counted, each once: of a strided array
        those that its elements touch, of an Arrow slice those of its whole buffers. Pages that this
        process has not touched, such as those of a file that only others read, are not resident.

    Raises
    ------
    TypeError
        The object has no memory that can be told.
    ValueError
        Its memory is a GPU's or another device's.
    """
    return _core.placement_of_extents(extents_of(obj))

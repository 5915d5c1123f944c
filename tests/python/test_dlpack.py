"""NodeBuffer.__dlpack__ and __array_interface__: other libraries' views, counted as such."""

from __future__ import annotations

import gc
import os
import threading
import types
from typing import Any

import numpy as np
import pytest
from support.child import run
from support.optional import needed

import numapool as nump

SIZE = 100_000
# Older ones ask for the protocol without versions, whose tensors NumPy takes as read-only.
versioned = pytest.mark.skipif(
    tuple(map(int, np.__version__.split(".")[:2])) < (2, 1), reason="needs NumPy 2.1"
)


@pytest.fixture
def buffer(allocator: nump.NumaAllocator, node: int) -> nump.NodeBuffer:
    return allocator.allocate(SIZE, node)


@versioned
def test_numpy_gets_the_same_bytes_writable(buffer: nump.NodeBuffer) -> None:
    array = np.from_dlpack(buffer)
    assert array.shape == (SIZE,) and array.dtype == np.uint8 and array.strides == (1,)
    assert array.__array_interface__["data"] == (buffer.address, False)
    array[SIZE - 1] = 77
    assert memoryview(buffer)[SIZE - 1] == 77


def test_torch_gets_the_same_bytes(buffer: nump.NodeBuffer) -> None:
    torch = needed("torch")
    tensor = torch.from_dlpack(buffer)
    assert tensor.data_ptr() == buffer.address
    assert (tensor.dtype, tuple(tensor.shape)) == (torch.uint8, (SIZE,))
    tensor[5] = 9
    assert memoryview(buffer)[5] == 9
    floats = tensor.view(torch.float32)
    del tensor
    with pytest.raises(BufferError):
        buffer.close()
    del floats
    buffer.close()


@pytest.mark.parametrize("max_version", [None, (0, 8), (1, 0), (2, 0)])
def test_an_export_counts_as_a_view_until_it_is_dropped(
    buffer: nump.NodeBuffer, max_version: tuple[int, int] | None
) -> None:
    capsule: Any = buffer.__dlpack__(max_version=max_version)
    versioned = max_version is not None and max_version[0] >= 1
    assert ("dltensor_versioned" in repr(capsule)) == versioned
    with pytest.raises(BufferError, match="1 view"):
        buffer.close()
    del capsule
    buffer.close()
    with pytest.raises(ValueError, match="closed"):
        buffer.__dlpack__()


def test_the_tensor_keeps_the_memory_of_a_dropped_buffer(allocator: nump.NumaAllocator) -> None:
    made = allocator.allocate(SIZE)
    memoryview(made)[:4] = b"kept"
    array = np.from_dlpack(made)
    del made
    gc.collect()
    assert array[:4].tobytes() == b"kept"


def test_a_pool_gets_the_memory_back_once_the_tensor_is_gone(node: int) -> None:
    with nump.BufferPool() as pool:
        with pool.acquire(SIZE, node) as buffer:
            array = np.from_dlpack(buffer)
        del buffer
        assert pool.statistics().total.in_use_bytes > 0
        assert array[0] == 0
        del array
        assert pool.statistics().total.in_use_bytes == 0
        assert pool.statistics().total.retained_bytes > 0


@versioned
def test_copies_are_separate_and_on_the_same_node(buffer: nump.NodeBuffer, node: int) -> None:
    memoryview(buffer)[:3] = b"abc"
    for copied in (np.from_dlpack(buffer, copy=True), _copy_by_capsule(buffer)):
        assert copied[:3].tobytes() == b"abc"
        copied[0] = 0
        assert memoryview(buffer)[0] == ord("a")
        assert nump.placement_of(copied).bytes_by_node.keys() == {node}
    del copied
    buffer.close()


def _copy_by_capsule(buffer: nump.NodeBuffer) -> Any:
    class Once:
        def __dlpack__(self, **options: Any) -> Any:
            return buffer.__dlpack__(max_version=(1, 0), copy=True)

        def __dlpack_device__(self) -> tuple[int, int]:
            return buffer.__dlpack_device__()

    return np.from_dlpack(Once())


def test_what_cannot_be_exported_is_refused(buffer: nump.NodeBuffer) -> None:
    assert buffer.__dlpack_device__() == (1, 0)
    buffer.__dlpack__(dl_device=(1, 0), copy=False)
    with pytest.raises(BufferError, match="stream"):
        buffer.__dlpack__(stream=1)  # type: ignore[arg-type]
    with pytest.raises(BufferError, match=r"\(2, 0\)"):
        buffer.__dlpack__(dl_device=(2, 0))
    with pytest.raises(TypeError, match="two integers"):
        buffer.__dlpack__(max_version=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="colour"):
        buffer.__dlpack__(colour=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="keyword"):
        buffer.__dlpack__(None)  # type: ignore[call-arg]
    buffer.close()  # no refusal left a view behind


def test_tensors_may_be_dropped_by_any_thread(buffer: nump.NodeBuffer) -> None:
    tensors = [np.from_dlpack(buffer) for _ in range(64)]

    def drop() -> None:
        while True:
            try:
                tensors.pop()
            except IndexError:
                return

    threads = [threading.Thread(target=drop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    buffer.close()


def test_a_deleter_without_the_gil() -> None:
    done = run("""
        import ctypes
        import numapool as nump
        buffer = nump.NumaAllocator().allocate(4096)
        capsule = buffer.__dlpack__()
        get = ctypes.pythonapi.PyCapsule_GetPointer
        get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        rename = ctypes.pythonapi.PyCapsule_SetName
        rename.argtypes = [ctypes.py_object, ctypes.c_char_p]
        pointer, used = get(capsule, b"dltensor"), b"used_dltensor"
        rename(capsule, used)
        # data, device, ndim and dtype, shape, strides, byte_offset, context: then the deleter
        deleter = ctypes.c_void_p.from_address(pointer + 7 * 8).value
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter)(pointer)  # CDLL's calls release the GIL
        del capsule
        buffer.close()
        print("closed")
    """)
    assert (done.returncode, done.stdout) == (0, "closed\n"), done.stderr


@versioned
def test_a_tensor_that_outlives_the_interpreter() -> None:
    # Nobody drops it any more, which a leak sanitizer would tell of.
    left = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    done = run(
        """
        import sys
        import numpy as np, numapool as nump
        sys.kept = np.from_dlpack(nump.NumaAllocator().allocate(1 << 21))
        sys.kept[0] = 1
    """,
        env=left,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_array_interface_counts_as_a_view(buffer: nump.NodeBuffer) -> None:
    interface = types.SimpleNamespace(__array_interface__=buffer.__array_interface__)
    assert interface.__array_interface__["version"] == 3
    array = np.asarray(interface)
    del interface
    assert array.__array_interface__["data"] == (buffer.address, False)
    array[1] = 3
    assert memoryview(buffer)[1] == 3
    with pytest.raises(BufferError):
        buffer.close()
    del array
    gc.collect()
    buffer.close()
    with pytest.raises(ValueError, match="closed"):
        _ = buffer.__array_interface__

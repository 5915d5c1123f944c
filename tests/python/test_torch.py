"""PyTorch's tensors on nodes, its workers, and page-locked memory by a stand-in for the driver."""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support import child
from support.cuda_driver import Driver
from support.optional import needed

import numapool as nump

MIB = 1 << 20


@pytest.fixture
def nt() -> Any:
    """The module under test."""
    needed("torch")
    import numapool.arrays.torch

    return numapool.arrays.torch


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool", "complex64"])
def test_tensors_are_on_the_node(nt: Any, node: int, dtype: str) -> None:
    torch = needed("torch")
    kind = getattr(torch, dtype)
    for make in (nt.empty, nt.zeros):
        tensor = make((64, 3, 1024), kind, node=node)
        assert (tensor.dtype, tuple(tensor.shape)) == (kind, (64, 3, 1024))
        assert list(nump.placement_of(tensor).bytes_by_node) == [node]
    assert not tensor.any()
    tensor[1] = 1
    assert int(tensor.sum().real) == 3 * 1024


def test_the_default_type_empty_tensors_and_wrong_arguments(nt: Any, node: int) -> None:
    torch = needed("torch")
    assert nt.zeros(3, node=node).dtype == torch.get_default_dtype()
    assert tuple(nt.empty((0, 4), torch.int8, node=node).shape) == (0, 4)
    assert nt.zeros((), node=node).item() == 0
    with pytest.raises(TypeError, match=r"dtype must be a torch\.dtype or None, not 'f4'"):
        nt.empty(3, "f4")
    with pytest.raises(ValueError, match="each of shape must be at least 0"):
        nt.empty((3, -1))


def test_the_memory_of_a_tensor_comes_from_a_pool_and_goes_back(nt: Any, node: int) -> None:
    with nump.BufferPool() as pool:
        for _ in range(3):
            tensor = nt.empty((MIB,), node=node, pool=pool)
            part = tensor[5:7].view(2, 1)
            del tensor
            assert pool.statistics().total.in_use_bytes >= 4 * MIB
            del part
        assert pool.statistics().total.in_use_bytes == 0
        assert (pool.statistics().total.hits, pool.statistics().total.misses) == (2, 1)


def test_an_array_becomes_a_tensor_without_a_copy(nt: Any, node: int) -> None:
    array = np.arange(MIB)
    tensor = nt.from_numpy(array, node=node)
    assert tensor.data_ptr() == array.ctypes.data
    assert list(nump.placement_of(tensor).bytes_by_node) == [node]
    array[7] = -1
    assert int(tensor[7]) == -1
    assert nt.from_numpy(array).data_ptr() == array.ctypes.data
    assert nt.from_numpy(np.empty(0), node=node).numel() == 0


def test_workers_take_the_nodes_in_turns(nt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[int] = []
    monkeypatch.setattr(nt, "bind_process", bound.append)
    init = nt._WorkerInit((0, 2, 5))
    for worker in range(4):
        pickle.loads(pickle.dumps(init))(worker)
    assert bound == [0, 2, 5, 0]
    assert repr(init) == "numapool.arrays.torch.worker_init([0, 2, 5])"
    with pytest.raises(ValueError, match="nodes must name at least one node"):
        nt.worker_init([])


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    return Driver(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def driver(library: Driver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    """The stand-in; each test leaves it as it was."""
    needed("torch")
    from numapool.arrays import cuda_driver

    monkeypatch.setattr(cuda_driver, "LIBRARY", library.path)
    yield library
    gc.collect()
    assert (library.registered_bytes, library.contexts, library.context_depth) == (0, 0, 0)


def test_a_block_that_is_used_again_is_page_locked_already(
    nt: Any, node: int, driver: Driver
) -> None:
    torch = needed("torch")
    with nt.PinnedPool("cuda:0", node=node) as pool:
        for _ in range(3):
            tensor = pool.empty((1000, 1000), torch.float16)
            tensor.fill_(1)
            rest = tensor[-1]
            address = tensor.data_ptr()
            del tensor
            counts = pool.statistics()
            assert counts.in_use_bytes == driver.registered_bytes >= 2_000_000
            assert counts.in_use_bytes <= 2_000_000 * 17 / 16
            assert list(nump.placement_of(rest).bytes_by_node) == [node]
            del rest
        counts = pool.statistics()
        assert (counts.hits, counts.misses, counts.in_use_bytes) == (2, 1, 0)
        assert counts.retained_bytes == driver.registered_bytes
        assert pool.empty(1_000_000, torch.int16).data_ptr() == address
        assert pool.empty((3, 0)).numel() == 0
        assert pool.trim() == counts.retained_bytes
        assert driver.registered_bytes == 0
        assert pool.node_id == node


def test_tensors_outlive_their_pool(nt: Any, node: int, driver: Driver) -> None:
    pool = nt.PinnedPool(node=node)
    kept, other = pool.empty(MIB), pool.empty(MIB)
    pool.close()
    pool.close()
    assert driver.registered_bytes == 8 * MIB
    with pytest.raises(ValueError, match="the pool is closed"):
        pool.empty(1)
    del other
    assert driver.registered_bytes == 4 * MIB
    assert repr(pool) == f"<PinnedPool on node {node}, closed>"
    del pool
    kept.fill_(3)
    assert float(kept.sum()) == 3 * MIB
    assert driver.contexts == 1
    del kept

    dropped = nt.PinnedPool(node=node)
    dropped.empty(MIB)
    assert driver.registered_bytes == 4 * MIB
    del dropped


def test_a_pool_keeps_no_more_than_it_may(nt: Any, node: int, driver: Driver) -> None:
    with nt.PinnedPool(node=node, retain_bytes="5MiB") as pool:
        both = [pool.empty(MIB), pool.empty(MIB // 4)]
        assert driver.registered_bytes == 5 * MIB
        both.append(pool.empty(MIB // 2))
        both.clear()
        assert pool.statistics().retained_bytes == driver.registered_bytes == 3 * MIB


def test_memory_that_cannot_be_locked_is_given_back(nt: Any, node: int, driver: Driver) -> None:
    with nt.PinnedPool(node=node) as pool:
        driver.fail("cuMemHostRegister_v2", 2)
        with pytest.raises(
            MemoryError, match=r"cannot page-lock 4194304 bytes: cuMemHostRegister: out of memory"
        ):
            pool.empty(MIB)
        assert pool.statistics().in_use_bytes == 0
        assert pool.empty(MIB).numel() == MIB


def test_what_there_is_not(
    nt: Any, node: int, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for device in ("cpu", "cuda:x"):
        with pytest.raises(ValueError, match="device must be a GPU"):
            nt.PinnedPool(device)
    with pytest.raises(nump.UnsupportedError, match="cannot use CUDA device 1: invalid device"):
        nt.PinnedPool(1)
    driver.fail("cuInit", 999)
    with pytest.raises(nump.UnsupportedError, match=r"the CUDA driver: unknown error \(999\)"):
        nt.PinnedPool()
    from numapool.arrays import cuda_driver

    monkeypatch.setattr(cuda_driver, "LIBRARY", "libno_such_driver.so.1")
    with pytest.raises(nump.UnsupportedError, match="needs the CUDA driver, which cannot be load"):
        nt.PinnedPool()


def test_the_node_of_the_gpu_is_the_pools(
    nt: Any, node: int, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from numapool.arrays import pinned_pool

    asked: list[str] = []

    def device_node(address: str) -> int:
        asked.append(address)
        return node

    monkeypatch.setattr(pinned_pool, "device_node", device_node)
    driver.be_at("0000:9B:00.0")
    with nt.PinnedPool() as pool:
        assert pool.node_id == node
    assert asked == ["0000:9b:00.0"]


def test_an_unknown_node_is_told(nt: Any, driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    from numapool.arrays import pinned_pool

    class TwoNodes:
        nodes = (0, 1)

    monkeypatch.setattr(pinned_pool, "current_topology", TwoNodes)
    driver.be_at("ffff:00:00.0")
    with (
        pytest.warns(nump.PlacementWarning, match=r"node of CUDA device 0 \(ffff:00:00.0\) is unk"),
        nt.PinnedPool() as pool,
    ):
        assert pool.node_id is None
        assert pool.empty(10).numel() == 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_reads_tensors_and_leaves_the_driver_alone(node: int, driver: Driver) -> None:
    program = f"""
        import os
        from numapool.arrays import cuda_driver
        cuda_driver.LIBRARY = {driver.path!r}
        import ctypes
        from numapool.arrays.torch import PinnedPool
        library = ctypes.CDLL({driver.path!r})
        library.registered_bytes.restype = ctypes.c_size_t
        pool = PinnedPool(node={node})
        tensor = pool.empty(1 << 20)
        tensor.fill_(2)
        if os.fork() == 0:
            before = library.registered_bytes(), library.contexts()
            read = float(tensor[-1])  # no sum: PyTorch's threads are the parent's
            del tensor
            try:
                pool.empty(1)
            except ValueError as error:
                print(read, error, flush=True)
            pool.close()
            del pool
            os._exit((library.registered_bytes(), library.contexts()) != before)
        assert os.wait()[1] == 0
        del tensor
        pool.close()
        assert library.registered_bytes() == 0
    """
    words = "2.0 the pool is the parent process's: a child cannot use CUDA\n"
    assert child.check(program) == words


def test_sizes_of_blocks(nt: Any) -> None:
    from numapool.arrays.pinned_pool import block_bytes

    for nbytes in (1, 65536, 65537, MIB, MIB + 1, 5 * MIB - 1, 33 * MIB, (32 << 20) + 4096):
        size = block_bytes(nbytes)
        assert nbytes <= size and size % 65536 == 0
        assert size <= max(nbytes + 65536, nbytes * 17 / 16)
        assert block_bytes(size) == size

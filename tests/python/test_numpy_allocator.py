"""NumPy's own arrays in a pool's memory: which ones, in which context, and for how long."""

from __future__ import annotations

import asyncio
import gc
import io
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import child

import numapool as nump

MIB = 1 << 20
LARGE = MIB // 8  # float64: 1 MiB


@pytest.fixture
def pool() -> Iterator[nump.BufferPool]:
    with nump.BufferPool() as pool:
        yield pool


def handler_of(array: npt.NDArray[Any] | None = None) -> str:
    """Name the handler of an array, or that of this context, as NumPy tells it."""
    from numpy._core import multiarray

    return str(multiarray.get_handler_name(*([] if array is None else [array])))


def in_use(pool: nump.BufferPool) -> int:
    return pool.statistics().total.in_use_bytes


def test_large_arrays_are_the_pools_and_small_ones_numpys(pool: nump.BufferPool) -> None:
    with nump.numpy_allocator(pool=pool):
        assert handler_of() == "numapool"
        small = np.ones(8)
        assert in_use(pool) == 0
        large = np.ones(LARGE)
        assert in_use(pool) == MIB
    assert handler_of() == "default_allocator"
    outside = np.ones(LARGE)
    assert handler_of(large) == handler_of(small) == "numapool"
    assert handler_of(outside) == "default_allocator"
    assert in_use(pool) == MIB
    assert float(large.sum()) == LARGE  # it outlives the block
    del large
    assert in_use(pool) == 0
    assert pool.statistics().total.retained_bytes >= MIB


def test_arrays_and_temporaries_are_on_the_node(pool: nump.BufferPool, node: int) -> None:
    with nump.numpy_allocator(node, pool):
        assert handler_of() == f"numapool_node{node}"
        a, b = np.full(LARGE, 3.0), np.full(LARGE, 4.0)
        before = pool.statistics().total
        c = a * b + a
        after = pool.statistics().total
    assert (after.hits + after.misses) > (before.hits + before.misses)
    assert float(c[0]) == 15.0
    assert pool.statistics().by_node[node].in_use_bytes == 3 * MIB


def test_memory_is_used_again(pool: nump.BufferPool) -> None:
    with nump.numpy_allocator(pool=pool):
        first = np.ones(LARGE)
        address = first.__array_interface__["data"][0]
        del first
        misses = pool.statistics().total.misses
        again = np.empty(LARGE)
        assert again.__array_interface__["data"][0] == address
        assert pool.statistics().total.misses == misses
        del again
        zeros = np.zeros(LARGE)
        assert zeros.__array_interface__["data"][0] == address
        assert not zeros.any()


def test_a_pool_that_clears_does_so_for_arrays() -> None:
    with nump.BufferPool(zero_on_reuse=True) as pool, nump.numpy_allocator(pool=pool):
        first = np.ones(LARGE)
        address = first.__array_interface__["data"][0]
        del first
        again = np.empty(LARGE)
        assert again.__array_interface__["data"][0] == address
        assert not again.any()


def test_blocks_nest(pool: nump.BufferPool, node: int) -> None:
    outer, inner = nump.numpy_allocator(pool=pool), nump.numpy_allocator(node, pool)
    with outer:
        with inner, outer, inner:
            assert handler_of() == f"numapool_node{node}"
        assert handler_of() == "numapool"
        with pytest.raises(ZeroDivisionError), inner:
            _ = 1 // 0
        assert handler_of() == "numapool"
    assert handler_of() == "default_allocator"
    with pytest.raises(RuntimeError, match="must be left in the context that entered it"):
        outer.__exit__(None, None, None)


def test_threads_begin_with_numpys_own(pool: nump.BufferPool) -> None:
    allocator = nump.numpy_allocator(pool=pool)
    with allocator:
        with ThreadPoolExecutor(1) as plain:
            assert plain.submit(handler_of).result() == "default_allocator"
        with ThreadPoolExecutor(2, initializer=allocator.initializer) as ours:
            arrays = list(ours.map(np.ones, [LARGE] * 4))
            assert {handler_of(array) for array in arrays} == {"numapool"}
        assert copy_context().run(handler_of) == "numapool"


def test_tasks_do_not_disturb_one_another(pool: nump.BufferPool, node: int) -> None:
    async def inside(how_often: int) -> list[str]:
        seen = []
        with nump.numpy_allocator(node, pool):
            for _ in range(how_often):
                seen.append(handler_of())
                await asyncio.sleep(0)
        seen.append(handler_of())
        return seen

    async def outside() -> list[str]:
        seen = []
        for _ in range(5):
            seen.append(handler_of())
            await asyncio.sleep(0)
        return seen

    async def main() -> None:
        two, three, none = await asyncio.gather(inside(2), inside(3), outside())
        ours = f"numapool_node{node}"
        assert two == [ours] * 2 + ["default_allocator"]
        assert three == [ours] * 3 + ["default_allocator"]
        assert none == ["default_allocator"] * 5
        with nump.numpy_allocator(node, pool):
            assert await asyncio.create_task(outside()) == [ours] * 5

    asyncio.run(main())


def test_set_for_the_rest_of_a_context(pool: nump.BufferPool, node: int) -> None:
    def work() -> None:
        nump.set_numpy_allocator(node, pool)
        assert handler_of() == f"numapool_node{node}"
        nump.set_numpy_allocator(pool=pool, strict=False)
        assert handler_of() == "numapool"
        nump.set_numpy_allocator(None)
        assert handler_of() == "default_allocator"
        nump.set_numpy_allocator(node)

    copy_context().run(work)
    assert handler_of() == "default_allocator"
    with pytest.raises(ValueError, match="strict needs a node or a pool"):
        nump.set_numpy_allocator(strict=True)


@given(st.lists(st.integers(0, 60_000), min_size=2, max_size=6))
def test_resizing(lengths: list[int]) -> None:
    """Small to large and back: what fits stays, the rest is zero, as NumPy promises."""
    with nump.numpy_allocator():
        array = np.arange(lengths[0], dtype=np.int64)
        expected = np.arange(lengths[0], dtype=np.int64).tolist()
        for length in lengths[1:]:
            array.resize(length, refcheck=False)
            expected = expected[:length] + [0] * (length - len(expected))
            assert array.tolist() == expected


def test_any_dtype_and_layout(pool: nump.BufferPool, tmp_path: Path) -> None:
    with nump.numpy_allocator(pool=pool):
        objects = np.array([[one] for one in range(50_000)], dtype=object)
        assert objects[-1] == [49_999]
        record = np.zeros(50_000, dtype=[("a", "i4"), ("b", "f8", 3)])
        record["b"][:] = 2
        assert record["b"].sum() == 300_000
        words = np.array(["word"] * 50_000)
        assert (words == "word").all()
        fortran = np.asfortranarray(np.ones((300, 300)))
        assert (fortran @ fortran)[0, 0] == 300
        lines = np.fromiter((one for one in range(100_000)), dtype=np.int64)  # it grows by realloc
        assert lines.sum() == 4_999_950_000
        assert np.sort(lines[::-1].copy())[0] == 0
        stored = io.BytesIO()
        np.save(stored, lines)
        stored.seek(0)
        assert (np.load(stored) == lines).all()
        mapped = np.memmap(tmp_path / "file", np.uint8, "w+", shape=MIB)
        mapped[:] = 3
        assert int(mapped.sum()) == 3 * MIB
        empty = np.empty((0, 5))
        assert empty.size == 0
    del objects, record, words, fortran, lines, mapped
    gc.collect()
    assert in_use(pool) == 0


def test_arrays_are_freed_by_any_thread(pool: nump.BufferPool) -> None:
    with nump.numpy_allocator(pool=pool):
        arrays = [np.full(LARGE, turn) for turn in range(16)]

    def drop() -> None:
        while True:
            try:
                array = arrays.pop()
            except IndexError:
                return
            assert array[0] == array[-1]
            del array

    threads = [threading.Thread(target=drop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert in_use(pool) == 0


def test_tracemalloc_sees_what_it_sees_of_numpys_own(pool: nump.BufferPool) -> None:
    def traced() -> int:
        tracemalloc.start()
        try:
            array = np.ones(LARGE)
            seen = sum(
                trace.size
                for trace in tracemalloc.take_snapshot().traces
                if trace.domain == np.lib.tracemalloc_domain
            )
            assert array.nbytes == MIB
            return seen
        finally:
            tracemalloc.stop()

    own = traced()
    with nump.numpy_allocator(pool=pool):
        assert traced() == own == MIB


def test_no_memory_is_numpys_memory_error() -> None:
    with nump.BufferPool(max_bytes=4 * MIB) as pool, nump.numpy_allocator(pool=pool):
        kept = np.ones(LARGE)
        with pytest.raises(MemoryError, match=r"Unable to allocate 8\.00 MiB"):
            np.ones(8 * LARGE)
        with pytest.raises(MemoryError):
            kept.resize(8 * LARGE, refcheck=False)
        assert float(kept.sum()) == LARGE
        with pytest.raises(MemoryError):
            np.empty(1 << 60, np.uint8)


def test_a_closed_pool_leaves_it_to_numpy() -> None:
    pool = nump.BufferPool()
    with nump.numpy_allocator(pool=pool):
        before = np.ones(LARGE)
        pool.close()
        after = np.ones(LARGE)
        before.resize(3 * LARGE, refcheck=False)
        assert float(before.sum()) == float(after.sum()) == LARGE
    with pytest.raises(ValueError, match="closed"):
        nump.numpy_allocator(pool=pool)


def test_a_pool_that_nobody_names_any_more_goes_on(node: int) -> None:
    with nump.numpy_allocator(node, nump.BufferPool()) as allocator:
        array = np.ones(LARGE)
        assert in_use(allocator.pool) == MIB
        del allocator
        gc.collect()
        again = np.ones(LARGE)
        assert handler_of(again) == f"numapool_node{node}"
    assert float((array + again).sum()) == 2 * LARGE


def test_what_is_wrong_is_said_at_once(pool: nump.BufferPool) -> None:
    with pytest.raises(nump.NodeNotFoundError, match="there is no node 4711"):
        nump.numpy_allocator(4711)
    with pytest.raises(TypeError, match="pool must be a BufferPool or None, not 'all'"):
        nump.numpy_allocator(pool="all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="node must be"):
        nump.numpy_allocator("one")
    assert handler_of() == "default_allocator"


def test_it_says_what_it_is(pool: nump.BufferPool, node: int) -> None:
    allocator = nump.numpy_allocator(node, pool, strict=True)
    assert repr(allocator).startswith(f"<numpy_allocator node {node}, strict: <BufferPool")
    assert (allocator.node_id, allocator.pool) == (node, pool)
    assert "the thread's node" in repr(nump.numpy_allocator())
    assert nump.numpy_allocator().pool is nump.numpy_allocator(node).pool


@pytest.mark.parametrize("daemon", [False, True])
def test_the_interpreter_ends_with_arrays_alive(daemon: bool) -> None:
    """A daemon thread keeps the module's names: what they name is finalized without a GIL only."""
    out = child.check(
        f"daemon = {daemon}"
        + """
import atexit, threading
import numpy as np
import numapool as nump
nump.set_numpy_allocator(pool=nump.BufferPool())
kept = np.ones(1 << 20)
class Late:
    def __init__(self):
        self.array = np.ones(1 << 20)
    def __del__(self):
        print(float(self.array[0]))
late = Late()
def work():
    nump.set_numpy_allocator(0 if nump.NumaTopology.detect().nodes[0].node_id == 0 else None)
    while True:
        np.ones(1 << 16)
if daemon:
    threading.Thread(target=work, daemon=True).start()
atexit.register(lambda: print(float(np.ones(1 << 18).sum())))
"""
    )
    assert out.split() in (["262144.0", "1.0"], *[["262144.0"]] * daemon)


def test_both_sides_of_a_fork_go_on() -> None:
    child.check("""
import os
import numpy as np
import numapool as nump
with nump.numpy_allocator(pool=nump.BufferPool()) as allocator:
    before = np.full(1 << 18, 7.0)
    pid = os.fork()
    if pid == 0:
        ok = before[-1] == 7 and (before * 2)[0] == 14
        before[:] = 1
        del before
        os._exit(0 if ok and np.ones(1 << 18).sum() == 1 << 18 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert before[0] == 7 and (before + 1)[-1] == 8
""")


def test_two_threads_may_be_the_first_to_need_numpy() -> None:
    """Importing NumPy runs Python code, while which another thread asks for NumPy as well."""
    out = child.check(
        """
        import sys, threading, time
        import numapool as nump

        def ask(told=None):
            if told is not None:
                told.set()
            made.append(nump.numpy_allocator())

        class Slow:  # the first import of NumPy: the second thread asks before it is done
            def find_spec(self, name, path=None, target=None):
                if name == "numpy" and not threads:
                    told = threading.Event()
                    threads.append(threading.Thread(target=ask, args=(told,)))
                    threads[0].start()
                    told.wait()
                    time.sleep(0.05)
                return None

        made, threads = [], []
        assert "numpy" not in sys.modules
        sys.meta_path.insert(0, Slow())
        ask()
        threads[0].join()
        print(len(made))
        """,
        timeout_s=60,
    )
    assert out.strip() == "2"


def test_a_thread_without_the_gil_may_use_the_handler() -> None:
    """NumPy's C interface lets it, while another thread has the GIL."""
    out = child.check(
        """
        import ctypes, sys, threading
        import numapool as nump
        handler = nump.numpy_allocator(pool=nump.BufferPool())._handler
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
        at = pointer(handler, b"mem_handler") + 128  # after the name and the version
        word = lambda i: ctypes.c_void_p.from_address(at + 8 * i).value
        allocate = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)(word(1))
        free = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)(word(4))
        end = threading.Event()
        def busy():
            while not end.is_set():
                sum(range(100))
        thread = threading.Thread(target=busy)
        thread.start()
        sys.setswitchinterval(1e-4)
        for size in range(1 << 20, 9 << 20, 1 << 18):  # ctypes calls without the GIL
            block = allocate(word(0), size)
            assert block
            free(word(0), block, size)
        end.set()
        thread.join()
        print("fine")
        """,
        timeout_s=60,
    )
    assert out.strip() == "fine"

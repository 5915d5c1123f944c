"""NodeBuffer: counted views, close, `with`, memory that lives as long as a view does."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
import weakref

import numpy as np
import pytest
from support import child
from support.own import is_mapped

import numapool as nump

MIB = 1 << 20


@pytest.fixture
def buffer(allocator: nump.NumaAllocator) -> nump.NodeBuffer:
    return allocator.allocate(MIB)


def test_close_refuses_while_a_view_lives_and_changes_nothing(buffer: nump.NodeBuffer) -> None:
    view = memoryview(buffer)
    array = np.frombuffer(buffer, np.uint8)
    with pytest.raises(BufferError, match="2 view"):
        buffer.close()
    assert not buffer.closed
    array[5] = 9
    assert view[5] == 9
    view.release()
    del array
    buffer.close()
    assert buffer.closed
    buffer.close()


def test_numpy_gets_the_memory_itself(buffer: nump.NodeBuffer) -> None:
    array = np.frombuffer(buffer, np.uint8)
    assert array.__array_interface__["data"] == (buffer.address, False)
    assert array.nbytes == buffer.nbytes


def test_memory_outlives_its_owner_while_a_view_does(allocator: nump.NumaAllocator) -> None:
    buffer = allocator.allocate(MIB)
    address = buffer.address
    array = np.frombuffer(buffer, np.uint8)[1000:]
    array[:] = 3
    gone = weakref.ref(buffer)
    del buffer
    gc.collect()
    assert gone() is not None
    assert (array == 3).all()
    assert is_mapped(address)
    del array
    gc.collect()
    assert gone() is None


def test_leaving_a_with_block_never_raises_and_frees_when_the_last_view_goes(
    allocator: nump.NumaAllocator,
) -> None:
    with allocator.allocate(64 * MIB) as buffer:
        address = buffer.address
        first = memoryview(buffer)
        second = np.frombuffer(buffer, np.uint8)
    assert buffer.closed
    with pytest.raises(ValueError, match="closed"):
        memoryview(buffer)
    second[:] = 1
    first.release()
    assert is_mapped(address)
    assert int(second.sum()) == 64 * MIB
    del second
    assert not is_mapped(address)


def test_with_passes_exceptions_on(allocator: nump.NumaAllocator) -> None:
    with pytest.raises(KeyError), allocator.allocate(4096) as buffer:
        raise KeyError
    assert buffer.closed


def test_close_unmaps(allocator: nump.NumaAllocator) -> None:
    buffer = allocator.allocate(64 * MIB)
    address = buffer.address
    assert is_mapped(address)
    buffer.close()
    assert not is_mapped(address)


def test_a_closed_buffer_says_so(buffer: nump.NodeBuffer) -> None:
    buffer.close()
    for use in (
        lambda: buffer.address,
        lambda: memoryview(buffer),
        buffer.placement,
        lambda: buffer.migrate(0),
        buffer.__enter__,
        lambda: np.frombuffer(buffer, np.uint8),
    ):
        with pytest.raises(ValueError, match="closed"):
            use()
    assert buffer.nbytes == len(buffer) == MIB
    assert "closed" in repr(buffer)


def test_buffers_are_only_made_by_an_allocator() -> None:
    with pytest.raises(TypeError):
        nump.NodeBuffer()


def test_buffers_are_not_copied_by_accident(buffer: nump.NodeBuffer) -> None:
    for attempt in (
        lambda: pickle.dumps(buffer),
        lambda: copy.copy(buffer),
        lambda: copy.deepcopy(buffer),
    ):
        with pytest.raises(TypeError):
            attempt()


def test_attributes_are_read_only(buffer: nump.NodeBuffer) -> None:
    for name in ("nbytes", "address", "node_id", "step", "bound", "closed"):
        with pytest.raises(AttributeError):
            setattr(buffer, name, 1)
    with pytest.raises(TypeError):
        nump.NodeBuffer.close = None  # type: ignore[method-assign, assignment]


def test_views_dropped_by_other_threads_while_the_owner_closes(
    allocator: nump.NumaAllocator,
) -> None:
    for _ in range(200):
        buffer = allocator.allocate(4096)
        views = [memoryview(buffer) for _ in range(4)]
        barrier = threading.Barrier(5)

        def drop(view: memoryview, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            view.release()

        threads = [threading.Thread(target=drop, args=(view,)) for view in views]
        for thread in threads:
            thread.start()
        barrier.wait()
        with buffer:
            pass
        for thread in threads:
            thread.join()
        assert buffer.closed


def test_buffers_made_after_many_were_dropped_are_new(allocator: nump.NumaAllocator) -> None:
    for _ in range(2):  # more at once than numapool keeps the objects of
        buffers = [allocator.allocate(4096) for _ in range(40)]
        assert len({id(buffer) for buffer in buffers}) == 40
        assert len({buffer.address for buffer in buffers}) == 40
        gone: list[weakref.ref[nump.NodeBuffer]] = []
        for number, buffer in enumerate(buffers):
            assert not buffer.closed
            assert weakref.getweakrefcount(buffer) == 0
            gone.append(weakref.ref(buffer))
            if number % 2:
                buffer.close()
        del buffer
        buffers.clear()
        assert all(reference() is None for reference in gone)


def test_many_cycles_leak_neither_memory_nor_descriptors() -> None:
    out = child.check(
        """
        import numapool as nump
        from support import own
        allocator = nump.NumaAllocator()
        # Of one node: the first look at another, where the thread may go, opens a file that stays.
        node = allocator.topology.nearest(allocator.topology.nodes[0].node_id)[0]

        def cycle(n):
            for k in range(n):
                with allocator.allocate(1 << (12 + k % 10), node) as buffer:
                    memoryview(buffer)[0] = 1
                    buffer.placement()
            return own.held()

        first = cycle(500)
        last = cycle(5000)
        slack = (8 << 20, 8 << 20, 0, 0)
        print(all(b - a <= s for a, b, s in zip(first, last, slack)), first, last)
        """
    )
    assert out.startswith("True"), out


def test_a_child_has_its_own_copy() -> None:
    child.check(
        """
        import os
        import numapool as nump
        allocator = nump.NumaAllocator()
        buffer = allocator.allocate(8 << 20)
        view = memoryview(buffer)
        view[:] = b"p" * len(view)
        pid = os.fork()
        if pid == 0:
            view[:] = b"c" * len(view)
            with allocator.allocate(8 << 20) as own:
                memoryview(own)[0] = 1
            view.release()
            buffer.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert bytes(view[:4]) == b"pppp" and bytes(view[-4:]) == b"pppp"
        """
    )


def test_interpreter_shutdown_with_buffers_and_views_alive() -> None:
    child.check(
        """
        import sys, threading, time
        import numapool as nump
        import numpy as np
        allocator = nump.NumaAllocator()
        sys.kept = allocator.allocate(8 << 20)
        sys.view = np.frombuffer(sys.kept, np.uint8)
        cycle = [allocator.allocate(4096)]
        cycle.append(cycle)

        def churn():
            while True:
                allocator.allocate(4 << 20).close()

        threading.Thread(target=churn, daemon=True).start()
        time.sleep(0.05)
        """
    )


def test_as_array_views_the_memory(allocator: nump.NumaAllocator, node: int) -> None:
    buffer = allocator.allocate(4096, node)
    numbers = buffer.as_array(np.uint32)
    numbers[:] = np.arange(1024)
    assert numbers.dtype == np.uint32
    assert memoryview(buffer)[4:8].tobytes() == (1).to_bytes(4, sys.byteorder)
    assert buffer.as_array().shape == (4096,)
    assert buffer.as_array("f8", (2, 3)).shape == (2, 3)
    assert buffer.as_array(dtype=np.int16, shape=7).shape == (7,)
    assert buffer.as_array(np.dtype("S5")).shape == (819,)
    assert np.shares_memory(buffer.as_array(shape=()), numbers)
    with pytest.raises(BufferError):
        buffer.close()
    del numbers
    buffer.close()
    with pytest.raises(ValueError, match="closed"):
        buffer.as_array()


def test_as_array_refuses_what_does_not_fit(allocator: nump.NumaAllocator, node: int) -> None:
    with allocator.allocate(4096, node) as buffer:
        with pytest.raises(ValueError, match=r"shape must be .*4096 bytes, not \(513,\)"):
            buffer.as_array(float, 513)
        with pytest.raises(ValueError, match="shape"):
            buffer.as_array(float, -1)
        with pytest.raises(TypeError, match="dtype must be"):
            buffer.as_array(object)
        with pytest.raises(TypeError, match="dtype must be"):
            buffer.as_array("nonsense")
        with pytest.raises(TypeError):
            buffer.as_array(float, (1,), 3)

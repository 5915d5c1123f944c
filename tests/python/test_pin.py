"""NodeBuffer.pin(): nobody moves or frees what a device knows the address of."""

from __future__ import annotations

import gc
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import numapool as nump
from numapool.memory import movable_only

MIB = 1 << 20


def test_close_and_migrate_are_refused_until_it_is_released(
    allocator: nump.NumaAllocator, node: int
) -> None:
    buffer = allocator.allocate(4 * MIB, node)
    with buffer.pin() as held:
        assert (held.address, held.nbytes) == (buffer.address, 4 * MIB)
        with pytest.raises(BufferError, match="pins"):
            buffer.close()
        with pytest.raises(BufferError, match="held"):
            buffer.migrate(node)
        with pytest.raises(BufferError, match="held"):
            nump.migrate(buffer, node)
        assert not held.released
    assert held.released
    with pytest.raises(ValueError, match="released"):
        _ = held.address
    buffer.migrate(node)
    buffer.close()
    with pytest.raises(ValueError, match="closed"):
        buffer.pin()


def test_any_array_of_the_memory_stays(allocator: nump.NumaAllocator, node: int) -> None:
    buffer = allocator.allocate(4 * MIB, node)
    array = np.frombuffer(buffer, np.uint8)
    with buffer.pin(), pytest.raises(BufferError, match="held"):
        nump.migrate(array[MIB : 2 * MIB], node)
    assert nump.migrate(array, node).placement.bytes_by_node == {node: 4 * MIB}


def test_the_pool_neither_gets_nor_trims_it(node: int) -> None:
    with nump.BufferPool() as pool:
        buffer = pool.acquire(4 * MIB, node)
        memoryview(buffer)[:4] = b"kept"
        held = buffer.pin()
        with buffer:
            pass  # closes when the last view goes
        del buffer
        gc.collect()
        assert pool.trim() == 0
        assert pool.statistics().total.in_use_bytes >= 4 * MIB
        assert pool.acquire(4 * MIB, node).address != held.address
        held.release()
        held.release()
        assert pool.statistics().total.in_use_bytes == 0
        assert pool.trim() >= 4 * MIB


def test_pins_nest_and_end_when_dropped(allocator: nump.NumaAllocator, node: int) -> None:
    buffer = allocator.allocate(MIB, node)
    first, second = buffer.pin(), buffer.pin()
    first.release()
    with pytest.raises(BufferError):
        buffer.migrate(node)
    del second
    gc.collect()
    buffer.migrate(node)
    buffer.close()


def test_a_hold_keeps_a_dropped_buffer(allocator: nump.NumaAllocator) -> None:
    buffer = allocator.allocate(MIB)
    view_of = np.frombuffer(buffer, np.uint8)
    view_of[:] = 7
    held = buffer.pin()
    del buffer
    gc.collect()
    assert view_of[MIB - 1] == 7
    del view_of
    held.release()


def _in_huge_page(address: int) -> bool | None:
    """Tell by smaps whether the mapping is all huge pages or has none; None: some of it is."""
    inside, size = False, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if header := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            begin, end = int(header[1], 16), int(header[2], 16)
            inside, size = begin <= address < end, end - begin
        elif inside and line.startswith("AnonHugePages:"):
            huge = int(line.split()[1]) * 1024
            return None if 0 < huge < size else huge == size
    return None


@pytest.mark.skipif(sys.platform != "linux", reason="reads smaps")
@pytest.mark.parametrize("of", ["pool", "ring"])
def test_a_small_block_pins_its_huge_page(node: int, of: str) -> None:
    with nump.BufferPool() as pool:
        source = pool.ring(65536, 32, node) if of == "ring" else None
        one, other = (source.acquire() if source else pool.acquire(65536, node) for _ in range(2))
        huge = _in_huge_page(one.address)
        shares = one.address // (2 * MIB) == other.address // (2 * MIB)
        with one.pin():
            with pytest.raises(BufferError, match="held"):
                one.migrate(node)
            if shares and huge:
                with pytest.raises(BufferError, match="held"):
                    other.migrate(node)
                with pytest.raises(BufferError, match="held"):
                    nump.migrate(memoryview(other), node)
            elif huge is False:
                other.migrate(node)
        other.migrate(node)
        nump.migrate(memoryview(other), node)
        one.close()
        other.close()
        if source:
            source.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads smaps")
def test_base_pages_beside_held_ones_move(allocator: nump.NumaAllocator, node: int) -> None:
    buffers = [allocator.allocate(65536, node, page_size="base") for _ in range(4)]
    with buffers[0].pin():
        for other in buffers[1:]:
            if _in_huge_page(other.address) is False:
                other.migrate(node)
                nump.migrate(memoryview(other), node)


def test_threads_never_move_what_is_held(allocator: nump.NumaAllocator, node: int) -> None:
    buffer = allocator.allocate(MIB, node)
    refused = []

    def hold_and_release() -> None:
        for _ in range(50):
            try:
                held = buffer.pin()
            except BufferError:
                continue  # it is being moved
            try:
                buffer.migrate(node)
            except BufferError:
                refused.append(True)
            else:
                refused.append(False)
            held.release()

    threads = [threading.Thread(target=hold_and_release) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(refused)
    buffer.close()


def test_a_node_of_movable_memory_is_warned_of_once(
    allocator: nump.NumaAllocator, node: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux moves pages of ZONE_MOVABLE elsewhere before a device pins them for long."""
    (tmp_path / "has_memory").write_text(f"{node},{node + 2}-{node + 3}\n")
    (tmp_path / "has_normal_memory").write_text(f"{node + 2}\n")
    monkeypatch.setattr(movable_only, "_NODES", tmp_path)
    assert movable_only.movable_only_nodes(tmp_path) == {node, node + 3}
    assert movable_only.movable_only_nodes(tmp_path / "missing") == frozenset()
    with allocator.allocate(MIB, node) as buffer:
        with pytest.warns(nump.PlacementWarning, match=f"node {node} is movable"):
            first = buffer.pin()
        second = buffer.pin()  # no further warning: they are errors here
        assert second.placement() == buffer.placement()
        second.release()
        with pytest.raises(ValueError, match="released"):
            second.placement()
        first.release()
        assert buffer.node_id == node

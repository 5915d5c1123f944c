"""The measuring kernels from Python: what they return, refuse, and leave behind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import numapool as nump
from numapool import _core

MIB = 1 << 20
CPU = sorted(os.sched_getaffinity(0))[:1]
SHORT = 200_000


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_the_circle_of_a_buffer(allocator: nump.NumaAllocator, node: int) -> None:
    before = threads()
    with allocator.allocate(MIB, node) as buffer:
        circle = _core.BenchCircle(buffer, 1)
        numbers = np.frombuffer(memoryview(buffer), np.uint64)[::8]
        found = circle.chase(CPU, SHORT, 3)
        assert found.stayed
        assert len(found.rounds) == 3
        assert all(one.loads > 0 and one.ns >= SHORT * 0.5 for one in found.rounds)
        successors = (numbers - buffer.address) // 64
        assert sorted(successors) == list(range(MIB // 64))
        with pytest.raises(BufferError):
            buffer.close()  # the circle is a view
        del circle, numbers
    assert threads() == before


def test_the_cache_is_faster_than_memory(allocator: nump.NumaAllocator, node: int) -> None:
    waits = {}
    for size in (16 << 10, 128 * MIB):
        with allocator.allocate(size, node) as buffer:
            found = _core.BenchCircle(buffer, 1).chase(CPU, 5_000_000, 5)
            waits[size] = min(one.ns / one.loads for one in found.rounds)
    small, large = waits.values()
    assert large > 3 * small


@pytest.mark.parametrize("kind", _core.BenchKind)
def test_streams(allocator: nump.NumaAllocator, node: int, kind: _core.BenchKind) -> None:
    with allocator.allocate(8 * MIB, node) as buffer:
        found = _core.bench_stream(kind, buffer, CPU, SHORT, 4)
        assert found.stayed
        assert len(found.bytes_per_s) == 4
        assert all(1e6 < rate < 1e13 for rate in found.bytes_per_s)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU cannot read another's cache")
@pytest.mark.parametrize("lines", _core.BenchLines)
def test_lines_of_another_cache(
    allocator: nump.NumaAllocator, node: int, lines: _core.BenchLines
) -> None:
    cpus = sorted(os.sched_getaffinity(0))[:2]
    with allocator.allocate(MIB, node) as buffer:
        circle = _core.BenchCircle(memoryview(buffer)[: 64 * 64], 1)
        if lines is _core.BenchLines.CLEAN and not _core.bench_can_flush():
            with pytest.raises(nump.UnsupportedError, match="flushes a line"):
                circle.chase_from_cache(cpus, lines, SHORT, 1)
        else:
            found = circle.chase_from_cache(cpus, lines, SHORT, 2)
            assert found.stayed
            assert all(one.loads % 64 == 0 and one.loads > 0 for one in found.rounds)
        with pytest.raises(ValueError, match="takes two CPUs"):
            circle.chase_from_cache(CPU, lines, SHORT, 1)
        del circle


def test_a_circle_of_steps(allocator: nump.NumaAllocator, node: int) -> None:
    with allocator.allocate(MIB, node) as buffer:
        circle = _core.BenchCircle(buffer, 1, 4096)
        assert circle.chase(CPU, SHORT, 1).rounds[0].loads > 0
        assert np.count_nonzero(np.frombuffer(memoryview(buffer), np.uint64)) == MIB // 4096
        del circle
        with pytest.raises(ValueError, match="steps of whole lines"):
            _core.BenchCircle(buffer, 1, 100)


def test_reading_leaves_the_memory_alone(allocator: nump.NumaAllocator, node: int) -> None:
    with allocator.allocate(2 * MIB, node) as buffer:
        array = np.frombuffer(memoryview(buffer), np.uint64)
        array[:] = np.arange(len(array))
        _core.bench_stream(_core.BenchKind.READ, buffer, CPU, SHORT, 2)
        assert (array == np.arange(len(array))).all()
        del array


def test_first_use(node: int) -> None:
    base = _core.base_page_bytes()
    for populate in (False, True):
        found = _core.bench_first_use(populate, MIB, _core.PageKind.BASE, base, node, CPU)
        assert found.ns > 0
        assert found.page_bytes == base
        assert found.bytes_on_node == MIB
        assert found.stayed


def test_touch_and_spin() -> None:
    array = np.zeros(10_000, np.uint8)
    _core.bench_touch(array, 4096)
    assert array.nonzero()[0].tolist() == [0, 4096, 8192]
    assert min(_core.bench_spin_ns(1_000_000) for _ in range(5)) > 100_000
    assert _core.bench_instructions() in ("avx2", "baseline")


def test_what_is_refused(allocator: nump.NumaAllocator, node: int) -> None:
    with allocator.allocate(MIB, node) as buffer:
        with pytest.raises(ValueError, match="at least one round"):
            _core.bench_stream(_core.BenchKind.READ, buffer, CPU, SHORT, 0)
        with pytest.raises(ValueError, match="from 2 to"):
            _core.BenchCircle(memoryview(buffer)[:64], 1)
        with pytest.raises(ValueError, match="begin within a line"):
            _core.BenchCircle(memoryview(buffer)[8:1024], 1)
        circle = _core.BenchCircle(buffer, 1)
        with pytest.raises(ValueError, match="takes two CPUs"):
            circle.chase_under_load(buffer, CPU, 0, SHORT, 1)
        del circle
    with pytest.raises(BufferError):
        _core.BenchCircle(bytes(1024), 1)  # type: ignore[arg-type, unused-ignore]
    with pytest.raises(ValueError, match="whole pages"):
        _core.bench_first_use(True, 5, _core.PageKind.BASE, 4096, node, CPU)
    with pytest.raises(MemoryError, match="available to this process"):
        _core.bench_first_use(True, 1 << 60, _core.PageKind.BASE, 4096, node, CPU)
    with pytest.raises(ValueError, match="not AUTO"):
        _core.bench_first_use(True, MIB, _core.PageKind.AUTO, 4096, node, CPU)
    with pytest.raises(ValueError, match="step of 0"):
        _core.bench_touch(bytearray(8), 0)


def test_a_cpu_that_does_not_exist_is_said_not_to_have_been_used(
    allocator: nump.NumaAllocator, node: int
) -> None:
    with allocator.allocate(MIB, node) as buffer:
        found = _core.bench_stream(_core.BenchKind.READ, buffer, [8000], SHORT, 1)
        assert found.bytes_per_s
        assert not found.stayed

"""How long does populated memory on a node take, beside libnuma and NumPy, warm and cold?"""

from __future__ import annotations

import ctypes
import statistics
import time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.support.figures import record, time_text
from benchmarks.support.peers import BareCalls, libnuma_allocate, numapool_allocate, numpy_empty
from benchmarks.support.race import Contender, race
from benchmarks.support.warmth import (
    COLD_FACTOR,
    IDLE_SECONDS,
    reports_free_pages,
    use_once_ns,
    warm_up,
)
from numapool import NumaAllocator

MIB = 1 << 20
TARGETS = {"numa_alloc_onnode+touch": 0.25, "np.empty+touch": 1.1}  # at 256 MiB


@pytest.mark.parametrize("size_mib", [64, 256])
def test_warm(
    benchmark: BenchmarkFixture,
    allocator: NumaAllocator,
    bare: BareCalls,
    libnuma: ctypes.CDLL,
    node: int,
    size_mib: int,
) -> None:
    size = size_mib * MIB
    ours = numapool_allocate(allocator, size, node)
    peers = [libnuma_allocate(libnuma, bare, size, node), numpy_empty(bare, size)]
    page_ns: list[float] = []
    times = race(
        benchmark,
        ours,
        peers,
        rounds=15,
        before=lambda contender: page_ns.append(warm_up(bare, size)),
    )
    note = (
        f"{size_mib} MiB warm: just before each run three times as much was used, at "
        f"{time_text(statistics.median(page_ns))} a 4 KiB page in huge pages"
    )
    for peer in peers:
        record(
            benchmark,
            what=f"{size_mib} MiB populated",
            condition="warm",
            peer=peer.name,
            ours_ns=times[ours.name],
            peer_ns=times[peer.name],
            at_most=TARGETS[peer.name] if size_mib == 256 else None,
            note=note,
        )


def test_cold(
    benchmark: BenchmarkFixture,
    allocator: NumaAllocator,
    bare: BareCalls,
    libnuma: ctypes.CDLL,
    node: int,
) -> None:
    size = 256 * MIB
    ours = numapool_allocate(allocator, size, node)
    peers = [libnuma_allocate(libnuma, bare, size, node), numpy_empty(bare, size)]
    warm_ns = {contender.name: warm_time(bare, contender, size) for contender in (ours, *peers)}
    warm_once = warm_up(bare, size) * size / 4096
    time.sleep(IDLE_SECONDS)
    slower = use_once_ns(bare, size) / warm_once
    if slower < COLD_FACTOR:
        pytest.skip(
            f"this machine keeps its free pages (after {IDLE_SECONDS} idle seconds a first touch "
            f"takes {slower:.1f} times a warm one): there is no cold case to measure"
        )
    times = race(
        benchmark, ours, peers, rounds=4, before=lambda contender: time.sleep(IDLE_SECONDS)
    )
    slowdowns = ", ".join(
        f"{name} {statistics.median(taken) / warm_ns[name]:.0f}x" for name, taken in times.items()
    )
    note = (
        f"256 MiB cold: {IDLE_SECONDS} idle seconds before each run; slower than warm: "
        f"{slowdowns}; "
        f"balloon with free page reporting: {'yes' if reports_free_pages() else 'none seen'}"
    )
    for peer in peers:
        record(
            benchmark,
            what="256 MiB populated",
            condition="cold",
            peer=peer.name,
            ours_ns=times[ours.name],
            peer_ns=times[peer.name],
            note=note,
        )


def warm_time(bare: BareCalls, contender: Contender, size: int) -> int:
    """Time the contender on warm memory; the median of three runs, in nanoseconds."""
    taken = []
    for _ in range(3):
        warm_up(bare, size)
        taken.append(contender.time_ns())
    return statistics.median_low(taken)

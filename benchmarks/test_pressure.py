"""How soon after the onset of a stall is memory back, and what does watching cost?"""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import numapool
from benchmarks.support.figures import record
from benchmarks.support.stall import StallMaker, total_us

MIB = 1 << 20
ROUNDS = 20
PEER_ROUNDS = 7  # avg10, which the peer goes by, takes 20 s to fall again
LONGEST_S = 12.0


@pytest.fixture
def stalls() -> Iterator[StallMaker]:
    try:
        total_us()
    except OSError as error:
        pytest.skip(f"the kernel tells of no stalls here: {error}")
    with StallMaker(Path("/var/tmp")) as maker:
        yield maker


class Peer:
    """libmempressure, if it is installed: when was its callback called last?"""

    def __init__(self) -> None:
        try:
            import mempressure  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            mempressure = None
        self._library: Any = mempressure
        self.called = threading.Event()
        self.called_at = 0.0

    def __bool__(self) -> bool:
        return self._library is not None

    def _call(self, level: int) -> None:
        if level and not self.called.is_set():
            self.called_at = time.monotonic()
            self.called.set()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        self.called.clear()
        self._library.start()
        self._library.subscribe(self._call)
        try:
            yield
        finally:
            self._library.stop()


def _wait_for_quiet(seconds: float) -> None:
    quiet_since, last = time.monotonic(), total_us()
    while time.monotonic() - quiet_since < seconds:
        time.sleep(0.05)
        now = total_us()
        if now != last:
            quiet_since, last = time.monotonic(), now


def _one_round(
    pool: numapool.BufferPool, stalls: StallMaker, peer: Peer | None
) -> tuple[float, float | None]:
    """Seconds from the first growth of ``total=`` to trimmed, and to the peer's callback."""
    before, trimmed_before = total_us(), pool.statistics().total.trimmed_bytes
    onset: float | None = None
    trimmed: float | None = None
    begun = time.monotonic()
    stalls.begin()
    while time.monotonic() - begun < LONGEST_S:
        now = time.monotonic()
        if onset is None and total_us() != before:
            onset = now
        if trimmed is None and pool.statistics().total.trimmed_bytes != trimmed_before:
            trimmed = now
        if trimmed is not None and (peer is None or peer.called.is_set()):
            break
        time.sleep(0.001)
    stalls.end()
    assert onset is not None, "no stall came about"
    assert trimmed is not None, "nothing was trimmed"
    called = None
    if peer is not None:
        called = (peer.called_at if peer.called.is_set() else time.monotonic()) - onset
    return max(trimmed - onset, 0.0), called


def test_reaction(benchmark: BenchmarkFixture, stalls: StallMaker) -> None:
    peer = Peer()
    ours: list[float] = []
    theirs: list[float] = []

    def rounds() -> None:
        for number in range(ROUNDS):
            with_peer = bool(peer) and number < PEER_ROUNDS
            _wait_for_quiet(25.0 if with_peer else 3.0)
            with contextlib.ExitStack() as stack:
                pool = stack.enter_context(numapool.BufferPool())
                pool.reserve(16 * MIB, 8)
                monitor = stack.enter_context(numapool.PressureMonitor())
                monitor.attach(pool)
                if with_peer:
                    stack.enter_context(peer.watching())
                time.sleep(1.1)
                took, called = _one_round(pool, stalls, peer if with_peer else None)
            ours.append(took)
            if called is not None:
                theirs.append(called)

    pedantic: Any = benchmark.pedantic  # it has no annotations
    pedantic(rounds, rounds=1)
    benchmark.extra_info["reaction_s"] = {
        "median": statistics.median(ours),
        "worst": max(ours),
        "all": ours,
        "libmempressure": theirs,
    }
    print(f"\nonset of a stall to trimmed: median {statistics.median(ours):.3f} s, worst of")
    print(f"{len(ours)} {max(ours):.3f} s; libmempressure: {[round(s, 2) for s in theirs]}")
    assert statistics.median(ours) <= 0.25
    assert max(ours) <= 0.6
    if theirs:
        record(
            benchmark,
            what="onset of stall to trimmed",
            peer="libmempressure 0.1.0",
            ours_ns=[s * 1e9 for s in ours[: len(theirs)]],
            peer_ns=[s * 1e9 for s in theirs],
            at_most=0.25,
            note="libmempressure goes by avg10, which moves every 2 s",
        )


def test_no_false_event(benchmark: BenchmarkFixture, stalls: StallMaker) -> None:
    """Twenty times: arm, then a first small stall, below the threshold."""
    false: list[numapool.PressureEvent] = []
    grown: list[int] = []

    def rounds() -> None:
        for _ in range(ROUNDS):
            _wait_for_quiet(1.0)
            with numapool.PressureMonitor() as monitor, monitor.subscribe(false.append):
                time.sleep(0.2)
                before = total_us()
                stalls.begin()
                while total_us() - before < 2_000:
                    time.sleep(0.0005)
                stalls.end()
                time.sleep(0.7)
                grown.append(total_us() - before)

    pedantic: Any = benchmark.pedantic
    pedantic(rounds, rounds=1)
    small = [us for us in grown if us < 35_000]
    print(f"\nsmall stalls of {sorted(grown)} us: {len(false)} events")
    assert len(false) <= len(grown) - len(small)


@pytest.mark.parametrize("seconds", [60])
def test_idle(benchmark: BenchmarkFixture, seconds: int) -> None:
    """The share of a CPU that a monitor takes while nothing happens."""
    share: list[float] = []

    def idle() -> None:
        with numapool.PressureMonitor() as monitor:
            time.sleep(1)
            before = time.process_time()
            time.sleep(seconds)
            share.append((time.process_time() - before) / seconds)
            wakes = any(one.wakes and one.name.endswith("psi") for one in monitor.sources)
            benchmark.extra_info["stall_wakes"] = wakes

    pedantic: Any = benchmark.pedantic
    pedantic(idle, rounds=1)
    benchmark.extra_info["share_of_a_cpu"] = share[0]
    limit = 0.0002 if benchmark.extra_info["stall_wakes"] else 0.0015
    print(f"\nidle: {share[0]:.5%} of a CPU (at most {limit:.3%})")
    assert share[0] <= limit


def test_trim_of_a_gibibyte(benchmark: BenchmarkFixture) -> None:
    """Trimming takes little time, and needs no GIL."""
    took: list[float] = []

    def trim() -> None:
        with numapool.BufferPool(retain_bytes=2 << 30) as pool:
            pool.reserve(64 * MIB, 16)
            started = time.perf_counter()
            assert pool.trim() == 1 << 30
            took.append(time.perf_counter() - started)

    pedantic: Any = benchmark.pedantic
    pedantic(trim, rounds=5)
    print(f"\ntrim of 1 GiB: {[round(1e3 * s, 1) for s in took]} ms")
    assert statistics.median(took) <= 0.1

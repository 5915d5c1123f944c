"""The pressure monitor with root's triggers, in real cgroups, on real nodes."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import numapool as nump

from .support import pages
from .support.children import Cgroup, Outcome, in_child
from .support.nodes import MIB, drop_caches, free_bytes

pytestmark = pytest.mark.machine("two_equal", "two_equal_612")

_ROUNDS = 20  # at most, until one is answered within a second: others use the processors too


def _result(outcome: Outcome) -> Any:
    assert outcome.signal is None and outcome.error is None, outcome
    return outcome.result


def _within_seconds(done: Callable[[], object], seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.005)
    return False


def _populate(nbytes: int) -> mmap.mmap:
    memory = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, nbytes, 4096):
        memory[at] = 1
    return memory


def _total_us(path: str) -> int:
    return int(Path(path).read_text(encoding="ascii").split("total=")[1].split()[0])


def test_a_cgroup_over_its_limit_gets_what_pools_retain() -> None:
    def grow() -> dict[str, Any]:
        events: list[nump.PressureEvent] = []
        pool = nump.BufferPool()
        pool.reserve(8 * MIB, 16)
        with pool.acquire(8 * MIB) as live:
            memoryview(live)[:] = b"\x11" * (8 * MIB)
            with nump.PressureMonitor() as monitor, monitor.subscribe(events.append):
                monitor.attach(pool)
                sources = {one.name: (one.active, one.wakes) for one in monitor.sources}
                # With the pool 250 MiB: the margin of a twentieth is 10 MiB short, at the least.
                held = _populate(122 * MIB)
                seen = _within_seconds(lambda: monitor.statistics().trimmed_bytes >= 16 * MIB)
                seen = seen and _within_seconds(lambda: any(e.trimmed_bytes for e in events))
                intact = bytes(memoryview(live)) == b"\x11" * (8 * MIB)
                trimmed = monitor.statistics().trimmed_bytes
            del held
        return {
            "sources": sources,
            "seen": seen,
            "intact": intact,
            "trimmed": trimmed,
            "from": sorted({event.source for event in events}),
        }

    drop_caches()
    with Cgroup("grows", memory_high=256 * MIB) as cgroup:
        result = _result(in_child(grow, cgroup=cgroup))
        assert cgroup.events()["oom_kill"] == 0
    assert result["sources"]["cgroup-psi"] == [True, True]
    assert result["sources"]["cgroup"] == [True, True]
    assert result["sources"]["psi"] == [False, False]  # the cgroup's own comes first
    assert result["seen"] and result["intact"]
    assert result["trimmed"] >= 16 * MIB
    assert "cgroup" in result["from"]


def _in_process(function: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            function()
        finally:
            os._exit(0)
    return pid


def test_a_stall_wakes_the_monitor_and_is_answered() -> None:
    """A process in the same cgroup waits for memory at its limit; nothing but PSI is watched."""

    def answer() -> dict[str, Any]:
        pressure = f"{cgroup.path}/memory.pressure"
        high = cgroup.path / "memory.high"
        pool = nump.BufferPool()
        took: list[float] = []
        with nump.PressureMonitor(sources=["cgroup-psi"]) as monitor:
            (source,) = monitor.sources
            monitor.attach(pool)
            for _ in range(_ROUNDS):
                assert _within_seconds(lambda: monitor.level is nump.PressureLevel.NONE)
                pool.reserve(8 * MIB, 4)
                time.sleep(1)
                before, trimmed = _total_us(pressure), pool.statistics().total.trimmed_bytes
                high.write_text(str(int(cgroup.read("memory.current")) + 2 * MIB))
                pid = _in_process(lambda: _populate(24 * MIB))
                # total= may be 2 s behind, but not before the process started.
                started, onset, answered = time.monotonic(), None, None
                end = started + 120
                while time.monotonic() < end and answered is None:
                    now = time.monotonic()
                    if onset is None and _total_us(pressure) != before:
                        onset = now
                    if pool.statistics().total.trimmed_bytes != trimmed:
                        answered = now
                    time.sleep(0.001)
                high.write_text("max")
                os.waitpid(pid, 0)
                assert answered is not None, f"not answered; before: {took}"
                took.append(answered - (onset or started))
                if took[-1] < 1.0:
                    break
        return {"took_s": took, "wakes": source.wakes, "detail": source.detail}

    with Cgroup("stalls") as cgroup:
        result = _result(in_child(answer, cgroup=cgroup))
    print("onset of the stall to trimmed, in seconds:", result["took_s"])
    assert result["wakes"], result
    assert min(result["took_s"]) < 1.0, result


def test_it_follows_the_process_to_another_cgroup() -> None:
    def follow() -> dict[str, Any]:
        def path() -> str:
            (source,) = (one for one in monitor.sources if one.name == "cgroup-psi")
            return source.path if source.active else ""

        with nump.PressureMonitor(nump.PressurePolicy(poll_s=0.1)) as monitor:
            before = path()
            second.enter()
            first.path.rmdir()  # with a trigger armed on it
            followed = _within_seconds(lambda: path().startswith(str(second.path)))
            began, processor = time.monotonic(), time.process_time()
            time.sleep(1)
            processor = (time.process_time() - processor) / (time.monotonic() - began)
        first.path.mkdir()  # for what cleans up
        return {"first": before, "followed": followed, "spins": processor > 0.8}

    with Cgroup("first") as first, Cgroup("second") as second:
        result = _result(in_child(follow, cgroup=first))
    assert result == {"first": f"{first.path}/memory.pressure", "followed": True, "spins": False}


def test_a_node_that_is_short_gets_back_what_is_on_it() -> None:
    drop_caches()
    pool = nump.BufferPool()
    allocator = nump.NumaAllocator()
    # Well below node 0, whatever the kernel and this process have there.
    size = 160 * MIB + max(0, free_bytes(1) - free_bytes(0))
    with allocator.allocate(size, 1, strict=True) as hog:
        assert set(pages.bytes_by_node(hog)) == {1}
        pool.reserve(4 * MIB, 8, 0)
        pool.reserve(4 * MIB, 8, 1)
        with nump.PressureMonitor(sources=["nodes"]) as look:
            assert _within_seconds(lambda: look.reading() is not None)
            reading = look.reading()
            assert reading is not None
        available = {node.node_id: node.available_bytes for node in reading.nodes}
        assert available[1] + 40 * MIB < available[0]
        policy = nump.PressurePolicy(node_margin_bytes=available[1] + 14 * MIB, hysteresis=0)
        events: list[nump.PressureEvent] = []
        with nump.PressureMonitor(policy, sources=["nodes"]) as monitor:
            monitor.attach(pool)
            with monitor.subscribe(events.append):
                assert _within_seconds(lambda: any(event.trimmed_bytes for event in events))
                time.sleep(0.3)
        counts = pool.statistics().by_node
    assert {event.node_id for event in events if event.level} == {1}
    assert events[0].source == "nodes"
    assert 8 * MIB <= counts[1].trimmed_bytes <= 32 * MIB
    assert counts[0].retained_bytes == 32 * MIB


def test_idle_it_hardly_runs() -> None:
    with nump.PressureMonitor() as monitor:
        time.sleep(2)
        began, before = time.monotonic(), time.process_time()
        looks = monitor.statistics().looks
        time.sleep(6)
        looks = monitor.statistics().looks - looks
        spent, passed = time.process_time() - before, time.monotonic() - began
    print(f"{looks} looks in {passed:.1f} s, {spent * 1000:.1f} ms of CPU")
    assert looks <= passed + 2  # a stall wakes it: once a second is enough


@pytest.mark.machine("sparse")  # its kernel counts no stalls
def test_without_stall_information_the_rest_is_watched() -> None:
    def grow() -> dict[str, Any]:
        with nump.BufferPool() as pool, nump.PressureMonitor() as monitor:
            pool.reserve(8 * MIB, 16)
            monitor.attach(pool)
            sources = {source.name: source for source in monitor.sources}
            held = _populate(120 * MIB)  # 8 MiB below the limit, 8 MiB into the margin
            trimmed = _within_seconds(lambda: pool.statistics().total.trimmed_bytes)
            del held
        return {
            "trimmed": trimmed,
            "psi": [sources[name].active for name in ("psi", "cgroup-psi")],
            "why": sources["psi"].detail,
            "cgroup": sources["cgroup"].active,
        }

    drop_caches()
    with Cgroup("grows", memory_high=256 * MIB) as cgroup:
        result = _result(in_child(grow, cgroup=cgroup))
    assert result["trimmed"]
    assert result["psi"] == [False, False]
    assert result["why"]
    assert result["cgroup"]

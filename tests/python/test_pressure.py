"""The pressure monitor on this machine: real deficits, and a FIFO as the service manager has it."""

from __future__ import annotations

import asyncio
import ctypes
import json
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import child
from support.child import running
from support.waiting import within_seconds

import numapool as nump

MIB = 1 << 20
#: More than any machine has: the deficit is there from the first look on.
SHORT = nump.PressurePolicy(margin_bytes=1 << 60, cooldown_s=0.02, relief_s=0.1, poll_s=0.01)


@pytest.fixture
def pool() -> Iterator[nump.BufferPool]:
    with nump.BufferPool() as pool:
        pool.reserve(4 * MIB, 8)
        yield pool


@pytest.fixture
def fifo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the service manager: a byte written to it is a notice of pressure."""
    path = tmp_path / "pressure"
    os.mkfifo(path)
    monkeypatch.setenv("MEMORY_PRESSURE_WATCH", str(path))
    monkeypatch.delenv("MEMORY_PRESSURE_WRITE", raising=False)
    return path


def test_a_deficit_trims_what_is_retained_and_nothing_else(pool: nump.BufferPool) -> None:
    with pool.acquire(4 * MIB) as live:
        memoryview(live)[:] = b"\x5a" * (4 * MIB)
        with nump.PressureMonitor(SHORT, sources=["meminfo"]) as monitor:
            monitor.attach(pool)
            assert within_seconds(lambda: pool.statistics().total.retained_bytes == 0)
            assert within_seconds(lambda: monitor.level is nump.PressureLevel.CRITICAL)
            # Counted after it is done: what was trimmed, and then how long it took.
            assert within_seconds(lambda: sum(monitor.statistics().reactions_by_limit_s.values()))
            counts = monitor.statistics()
        assert bytes(memoryview(live)) == b"\x5a" * (4 * MIB)
    assert counts.trimmed_bytes == 7 * 4 * MIB
    assert set(counts.events_by_source) == {"meminfo"}
    assert sum(counts.reactions_by_limit_s.values()) >= 1
    assert list(counts.reactions_by_limit_s)[-1] == math.inf
    json.dumps(counts.to_dict())
    assert monitor.level is nump.PressureLevel.NONE
    assert not monitor.running


def test_an_event_says_what_is_asked_and_what_was_done(pool: nump.BufferPool) -> None:
    events: list[nump.PressureEvent] = []
    before = time.monotonic_ns()
    with nump.PressureMonitor(SHORT, sources=["meminfo"]) as monitor:
        monitor.attach(pool, floor_bytes=8 * MIB)
        with monitor.subscribe(events.append):
            assert within_seconds(lambda: len(events) >= 2)
    event = events[0]
    assert event.level is nump.PressureLevel.CRITICAL
    assert event.source == "meminfo"
    assert event.node_id is None
    assert event.trimmed_bytes == 24 * MIB
    assert event.bytes_to_release == event.demand_bytes - event.trimmed_bytes > 1 << 50
    assert before <= event.origin_monotonic_ns <= time.monotonic_ns()
    assert json.loads(json.dumps(event.to_dict()))["level"] == "CRITICAL"
    assert pool.statistics().total.retained_bytes == 8 * MIB


def test_relief_is_told(pool: nump.BufferPool, fifo: Path) -> None:
    policy = nump.PressurePolicy(relief_s=0.1, poll_s=0.02)
    events: list[nump.PressureEvent] = []
    with nump.PressureMonitor(policy, sources=["systemd"]) as monitor:
        found: list[tuple[nump.PressureLevel, int]] = []

        def told(event: nump.PressureEvent) -> None:
            found.append((monitor.level, monitor.statistics().trimmed_bytes))
            events.append(event)

        monitor.attach(pool)
        monitor.subscribe(told)
        fifo.write_bytes(b"!")
        assert within_seconds(lambda: len(events) == 2)
        # Who is told finds it so already.
        assert found[-1] == (nump.PressureLevel.NONE, 32 * MIB)
        assert found[0][1] == 32 * MIB
    assert [event.level.name for event in events] == ["MODERATE", "NONE"]
    assert [event.source for event in events] == ["systemd", "systemd"]
    assert events[0].demand_bytes == policy.step_bytes
    assert events[0].trimmed_bytes == 32 * MIB
    assert events[1].demand_bytes == 0


def test_it_trims_while_another_thread_holds_the_gil(pool: nump.BufferPool, fifo: Path) -> None:
    with nump.PressureMonitor(sources=["systemd"]) as monitor:
        monitor.attach(pool)
        # A shell starts faster than Python.
        with running(["/bin/sh", "-c", 'sleep 0.2; echo ! >"$0"', str(fifo)]):
            began = time.monotonic_ns()
            ctypes.PyDLL(None).usleep(2_000_000)  # PyDLL keeps the GIL
            held_ns = time.monotonic_ns() - began
            # The first thing after the GIL was held.
            retained = pool.statistics().total.retained_bytes
        counts = monitor.statistics()
    assert held_ns > 1_900_000_000
    assert retained == 0
    assert 0 < counts.reaction_sum_s < held_ns / 1e9


def test_no_service_manager_wants_a_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_PRESSURE_WATCH", "/dev/null")
    with nump.PressureMonitor() as monitor:
        sources = {source.name: source for source in monitor.sources}
    assert not sources["psi"].active
    assert "asks not to watch" in sources["psi"].detail
    assert sources["meminfo"].active  # what is measured in bytes is looked at all the same


def test_sources_say_how_they_are_watched_or_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEMORY_PRESSURE_WATCH", raising=False)
    monitor = nump.PressureMonitor()
    assert monitor.sources == ()
    with monitor:
        sources = monitor.sources
        assert "watching" in repr(monitor)
        assert "meminfo" in repr(monitor)
    assert len(sources) == 8
    assert all(source.detail for source in sources)
    assert "not set" in next(s.detail for s in sources if s.name == "systemd")
    json.dumps([source.to_dict() for source in sources])
    assert repr(monitor) == "<PressureMonitor, not running>"


def test_a_handler_that_raises_or_blocks_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    calls = {"raises": 0, "blocks": 0, "good": 0}
    go_on = threading.Event()

    def raises(event: nump.PressureEvent) -> None:
        calls["raises"] += 1
        raise LookupError("from the handler")

    def blocks(event: nump.PressureEvent) -> None:
        calls["blocks"] += 1
        go_on.wait(30)

    def good(event: nump.PressureEvent) -> None:
        calls["good"] += 1

    with nump.PressureMonitor(SHORT, sources=["meminfo"]) as monitor:
        subscriptions = [monitor.subscribe(one) for one in (raises, blocks, good)]
        assert within_seconds(lambda: calls["good"] >= 3 and calls["raises"] >= 3)
        assert calls["blocks"] == 1
        assert all(subscription.active for subscription in subscriptions)
    go_on.set()
    assert not any(subscription.active for subscription in subscriptions)
    assert isinstance(reported[0].exc_value, LookupError)
    assert reported[0].object is raises


def test_after_cancel_no_call_begins() -> None:
    calls: list[nump.PressureEvent] = []
    with nump.PressureMonitor(SHORT, sources=["meminfo"]) as monitor:
        subscription = monitor.subscribe(calls.append)
        assert within_seconds(lambda: calls)
        subscription.cancel()
        subscription.cancel()
        time.sleep(0.02)
        count = len(calls)
        time.sleep(0.2)
    assert len(calls) == count
    assert "cancelled" in repr(subscription)


def test_events_as_an_asynchronous_iterator(pool: nump.BufferPool) -> None:
    async def until_one_after_the_trim() -> list[int]:
        trimmed: list[int] = []
        with nump.PressureMonitor(SHORT, sources=["meminfo"]) as monitor:
            # Subscribed first: the trim may follow the attaching at once.
            async with monitor.events() as events:
                monitor.attach(pool)
                async with asyncio.timeout(60):
                    async for event in events:
                        trimmed.append(event.trimmed_bytes)
                        if trimmed[-2:-1] == [32 * MIB]:
                            break
        return trimmed

    *before, trimmed, after = asyncio.run(until_one_after_the_trim())
    assert not any(before)  # there was no pool yet
    assert (trimmed, after) == (32 * MIB, 0)


def test_a_stream_can_be_closed_and_dropped() -> None:
    async def close() -> None:
        with nump.PressureMonitor(sources=["meminfo"]) as monitor:
            async with monitor.events() as stream:
                await stream.aclose()
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)
            waiting = asyncio.ensure_future(anext(monitor.events()))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(close())


def test_detached_pools_are_left_alone(pool: nump.BufferPool) -> None:
    with nump.PressureMonitor(SHORT, sources=["meminfo"]) as monitor:
        with nump.BufferPool() as other:
            monitor.attach(other)
        monitor.detach(other)  # closed already: fine
        monitor.attach(pool, floor_bytes=1 << 40)
        monitor.detach(pool)
        with pytest.raises(ValueError, match="not attached"):
            monitor.detach(pool)
        time.sleep(0.2)
        assert pool.statistics().total.retained_bytes == 32 * MIB
        monitor.attach(pool)
        assert within_seconds(lambda: pool.statistics().total.retained_bytes == 0)


def test_a_pool_or_a_monitor_may_be_dropped_without_a_word() -> None:
    # In a process of its own, where no other thread ends.
    code = f"""
        import gc, os, time
        import numapool as nump

        monitor = nump.PressureMonitor(nump.{SHORT!r}, sources=["meminfo"]).start()
        dropped = nump.BufferPool()
        dropped.reserve(1 << 20, 4)
        monitor.attach(dropped)
        del dropped
        gc.collect()
        time.sleep(0.1)
        threads = len(os.listdir("/proc/self/task"))
        del monitor
        gc.collect()
        assert len(os.listdir("/proc/self/task")) == threads - 1
        print("fine")
        """
    assert child.check(code) == "fine\n"


def test_start_and_stop_leave_nothing_behind() -> None:
    # In a process of its own: threads that other tests left behind open files and end.
    code = f"""
        import gc, os
        from support.waiting import within_seconds
        import numapool as nump

        def left():
            return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

        with nump.BufferPool() as pool:
            pool.reserve(4 << 20, 8)
            with nump.PressureMonitor() as monitor:
                monitor.attach(pool)
            del monitor
            gc.collect()
            before = left()
            for _ in range(50):
                monitor = nump.PressureMonitor(nump.{SHORT!r})
                monitor.attach(pool)
                with monitor, monitor.subscribe(lambda event: None):
                    pass
                del monitor
            assert within_seconds(lambda: left() == before, 5), (left(), before)
        print("fine")
        """
    assert child.check(code) == "fine\n"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"window_s": 0.1}, ValueError, "window_s must be from 0.5"),
        ({"moderate_stall_s": 0.6}, ValueError, "moderate_stall_s must be from"),
        ({"critical_stall_s": 0}, ValueError, "critical_stall_s must be from"),
        ({"margin_bytes": -1}, ValueError, "margin_bytes must be 0 or more"),
        (
            {"margin_bytes": 1.5},
            TypeError,
            "margin_bytes must be an integer number of bytes, not 1.5",
        ),
        ({"margin_bytes": 1 << 80}, ValueError, "margin_bytes"),
        ({"step_bytes": 0}, ValueError, "step_bytes"),
        ({"cooldown_s": math.nan}, ValueError, "cooldown_s"),
        ({"relief_s": math.inf}, ValueError, "relief_s"),
        ({"poll_s": 0.0}, ValueError, "poll_s"),
        ({"hysteresis": "much"}, TypeError, "hysteresis must be a number"),
        ({"critical_share": 2}, ValueError, "critical_share"),
    ],
)
def test_policies_that_make_no_sense(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        nump.PressurePolicy(**arguments)


def test_bad_arguments(pool: nump.BufferPool) -> None:
    for sources in ("psi", [], ["psi", "weather"]):
        with pytest.raises(ValueError, match="source"):
            nump.PressureMonitor(sources=sources)
    monitor = nump.PressureMonitor()
    with pytest.raises(ValueError, match="floor_bytes"):
        monitor.attach(pool, floor_bytes=-1)
    for weight in (0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="weight"):
            monitor.attach(pool, weight=weight)
    with pytest.raises(TypeError, match="callable"):
        monitor.subscribe(None)  # type: ignore[arg-type]
    pool.close()
    with pytest.raises(ValueError, match="closed"):
        monitor.attach(pool)

"""Low memory from end to end: Windows' notification, a trimmed pool, a handler."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numapool as nump

LOW_MEMORY = 0  # MEMORY_RESOURCE_NOTIFICATION_TYPE of memoryapi.h
WAIT_S = 60


@contextmanager
def low_memory() -> Iterator[None]:
    """Signal the system's own event, which every such notification waits for."""
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    kernel.CreateMemoryResourceNotification.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(kernel.CreateMemoryResourceNotification(LOW_MEMORY))
    assert handle.value, ctypes.get_last_error()  # type: ignore[attr-defined]
    assert kernel.SetEvent(handle), ctypes.get_last_error()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        assert kernel.ResetEvent(handle)
        kernel.CloseHandle(handle)


def test_a_pool_is_trimmed_and_a_handler_called() -> None:
    told = threading.Event()
    seen: list[nump.PressureEvent] = []

    def handler(event: nump.PressureEvent) -> None:
        seen.append(event)
        if event.level is not nump.PressureLevel.NONE:
            told.set()

    with nump.BufferPool() as pool, nump.PressureMonitor() as monitor:
        pool.reserve(1 << 20, 8, 0)
        monitor.attach(pool)
        with monitor.subscribe(handler):
            assert not told.wait(1), seen
            with low_memory():
                assert told.wait(WAIT_S)
        assert pool.statistics().total.trimmed_bytes > 0
        assert pool.statistics().total.retained_bytes < 8 << 20


def test_an_event_loop_is_told() -> None:
    async def first(monitor: nump.PressureMonitor) -> nump.PressureEvent:
        async with monitor.events() as events:
            with low_memory():
                return await asyncio.wait_for(anext(events), WAIT_S)

    with nump.PressureMonitor() as monitor:
        event = asyncio.run(first(monitor))
    assert event.level is not nump.PressureLevel.NONE


def test_the_notification_is_among_the_sources_and_wakes() -> None:
    with nump.PressureMonitor() as monitor:
        assert any(source.active and source.wakes for source in monitor.sources), monitor.sources

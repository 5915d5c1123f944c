"""What numapool tells the standard library's logging, at which level, and what it never does."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import child
from support.waiting import within_seconds

import numapool as nump
from numapool.base import warn_once
from numapool.pools import log as pool_log
from numapool.pressure.log import PressureLog

MIB = 1 << 20


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.all: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(record)

    def of(self, name: str) -> list[tuple[str, str]]:
        return [(one.levelname, one.getMessage()) for one in self.all if one.name == name]


@pytest.fixture
def records() -> Iterator[Records]:
    """Listen to everything, as a program would: at the logger "numapool"."""
    logger, handler = logging.getLogger("numapool"), Records()
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_a_degradation_is_logged_and_warned_of_once(records: Records) -> None:
    with pytest.warns(nump.PlacementWarning, match="less than was asked for"):
        warn_once.warn_once("test: a cause", "less than was asked for")
    warn_once.warn_once("test: a cause", "less than was asked for")
    assert records.of("numapool.placement") == [("WARNING", "less than was asked for")]


def test_a_degradation_is_logged_where_warnings_are_errors(records: Records) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(nump.PlacementWarning):
            warn_once.warn_once("test: another cause", "as an error")
    assert records.of("numapool.placement") == [("WARNING", "as an error")]


def test_a_real_degradation_reaches_the_log(records: Records) -> None:
    """A kernel that refuses mbind, as a container's does."""
    code = """
        import logging, sys, warnings
        logging.basicConfig(format="%(levelname)s %(name)s %(message)s", stream=sys.stdout)
        warnings.simplefilter("ignore")
        from support import seccomp
        import numapool as nump
        seccomp.refuse(["mbind"], 1)
        for _ in range(3):
            nump.NumaAllocator().allocate(1 << 20).close()
    """
    printed = child.check(code).splitlines()
    assert len(printed) == 1
    assert printed[0].startswith("WARNING numapool.placement ")
    assert "mbind" in printed[0]


def fill(pool: nump.BufferPool) -> None:
    with pytest.raises(nump.PoolExhaustedError):
        pool.acquire(4 * MIB)


def test_an_exhausted_pool_is_logged_by_its_name_now_and_then(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nump.BufferPool(max_bytes=2 * MIB, name="cache") as pool:
        held = pool.acquire(MIB)
        assert records.all == []
        for _ in range(100):
            fill(pool)
        ((level, text),) = records.of("numapool.pool")
        assert level == "WARNING"
        assert text.startswith("cache exhausted: ")
        monkeypatch.setattr(pool_log, "EXHAUSTED_INTERVAL_S", 0.0)
        fill(pool)
        assert records.of("numapool.pool")[1][1].endswith(
            "(and 99 times more since the last such line)"
        )
        held.close()


def test_each_pool_has_its_own_line_by_whatever_way_it_is_exhausted(records: Records) -> None:
    ways: dict[str, Callable[[nump.BufferPool], object]] = {
        "acquire": lambda pool: pool.acquire(4 * MIB),
        "block": lambda pool: pool.acquire(4 * MIB, block=True, timeout_s=0.01),
        "reserve": lambda pool: pool.reserve(4 * MIB, 1),
        "ring": lambda pool: pool.ring(MIB, 4),
        "array": lambda pool: nump.empty(4 * MIB, "u1", pool=pool),
    }
    for name, way in ways.items():
        with nump.BufferPool(max_bytes=2 * MIB, name=name) as pool:
            buffer = pool.acquire(MIB)
            with pytest.raises(nump.PoolExhaustedError) as failure:
                way(pool)
            level, text = records.of("numapool.pool")[-1]
            assert (level, text) == ("WARNING", f"{name} exhausted: {failure.value}")
            buffer.close()
    assert len(records.all) == len(ways)


def test_other_failures_of_a_pool_are_not_exhaustion(records: Records) -> None:
    with nump.BufferPool() as pool:
        with pytest.raises(ValueError, match="at least 1"):
            pool.acquire(0)
        with pytest.raises(MemoryError):
            pool.acquire(1 << 60)
        with pytest.raises(nump.NodeNotFoundError):
            pool.acquire(1, 999)
    with pytest.raises(ValueError, match="closed"):
        pool.acquire(1)
    assert records.all == []


def test_a_handler_that_fails_changes_nothing_for_the_caller(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    unraisable: list[BaseException | None] = []
    monkeypatch.setattr("sys.unraisablehook", lambda it: unraisable.append(it.exc_value))

    def fail(record: logging.LogRecord) -> None:
        raise RuntimeError("the log is full")

    monkeypatch.setattr(records, "emit", fail)
    with nump.BufferPool(max_bytes=MIB) as pool:
        fill(pool)
    assert [str(one) for one in unraisable] == ["the log is full"]


def test_pressure_is_logged_by_level_with_the_event(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service manager's notice, by a FIFO as it has it."""
    fifo = tmp_path / "pressure"
    os.mkfifo(fifo)
    monkeypatch.setenv("MEMORY_PRESSURE_WATCH", str(fifo))
    monkeypatch.delenv("MEMORY_PRESSURE_WRITE", raising=False)
    policy = nump.PressurePolicy(cooldown_s=0.02, relief_s=0.1, poll_s=0.01)
    seen: list[nump.PressureEvent] = []
    with nump.PressureMonitor(policy, sources=["systemd"]) as monitor:
        monitor.subscribe(seen.append)
        subscription = monitor.log_events()
        fifo.write_text("!")
        assert within_seconds(lambda: any(one.levelname == "INFO" for one in records.all))
        told = [one for one in records.all if one.name == "numapool.pressure"]
        assert told[0].levelname == "WARNING"
        assert told[0].getMessage().startswith("memory pressure MODERATE, by systemd: ")
        assert told[-1].getMessage() == "memory pressure is over"
        assert {one.levelname for one in told[1:-1]} <= {"DEBUG"}  # the same over again
        assert within_seconds(lambda: len(seen) >= len(told))
        assert [getattr(one, "pressure_event", None) for one in told] == seen[: len(told)]
        subscription.cancel()
        count = len(records.all)
        fifo.write_text("!")
        assert within_seconds(lambda: seen[-1].level and len(seen) > count)
        assert len(records.all) == count


def event(level: int, node_id: int | None = None) -> nump.PressureEvent:
    return nump.PressureEvent(
        level=nump.PressureLevel(level),
        demand_bytes=64 * MIB,
        trimmed_bytes=48 * MIB,
        node_id=node_id,
        source="nodes",
        stall_s=0.012,
        origin_monotonic_ns=1,
    )


def test_levels_by_node(records: Records) -> None:
    handler = PressureLog()
    for level, node in ((1, None), (1, None), (2, None), (1, 3), (2, 3), (2, 3), (0, 3), (0, None)):
        handler(event(level, node))
    assert [one[0] for one in records.of("numapool.pressure")] == [
        "WARNING",
        "DEBUG",
        "ERROR",
        "WARNING",
        "ERROR",
        "DEBUG",
        "INFO",
        "INFO",
    ]
    assert records.of("numapool.pressure")[4][1] == (
        "memory pressure CRITICAL on node 3, by nodes: 64 MiB asked, 48 MiB trimmed, "
        "16 MiB to release; stalled 12 ms"
    )


def test_without_a_configuration_nothing_is_printed() -> None:
    code = """
        import logging, warnings
        warnings.simplefilter("ignore")
        import numapool as nump
        from numapool.base import warn_once
        warn_once.warn_once("cause", "a degradation")
        with nump.BufferPool(max_bytes=1 << 20) as pool:
            try:
                pool.acquire(4 << 20)
            except nump.PoolExhaustedError:
                pass
        handlers = logging.getLogger("numapool").handlers
        assert [type(one) for one in handlers] == [logging.NullHandler], handlers
    """
    done = child.run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_logging_is_not_loaded_for_a_program_that_does_not() -> None:
    code = """
        import sys, warnings
        warnings.simplefilter("ignore")
        import numapool as nump
        from numapool.base import warn_once
        warn_once.warn_once("cause", "a degradation")
        with nump.BufferPool(max_bytes=1 << 20) as pool:
            try:
                pool.acquire(4 << 20)
            except nump.PoolExhaustedError:
                pass
        print(any(n in sys.modules for n in ("numapool.base.logs", "numapool.pools.log")))
        print("logging" in sys.modules and "logging" not in before)
    """
    code = code.replace(
        "import sys, warnings", "import sys, warnings\n        before = set(sys.modules)"
    )
    assert child.check(code) == "False\nFalse\n"


def test_nothing_is_logged_where_buffers_come_and_go(records: Records, node: int) -> None:
    with nump.BufferPool(name="hot") as pool, nump.PressureMonitor() as monitor:
        monitor.attach(pool)

        def work() -> None:
            for _ in range(200):
                with pool.acquire(MIB, node):
                    pass
                nump.empty(1000, "u1", node=node, pool=pool)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pool.trim()
        nump.NumaAllocator().allocate(MIB, node).close()
    assert [one for one in records.all if one.name != "numapool.pressure"] == []

"""What one process publishes of its pools, another one of the same user reads."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import pytest
from support import child, systems
from support.waiting import within_seconds

import numapool as nump
from numapool.metrics.published_pools import (
    _file_name,
    _namespace,
    _wish_in,
    ask_for_rehearsal,
    published_pools,
)

MIB = 1 << 20


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    # Windows' temporary folder is the user's own.
    return tmp_path / ("numapool" if systems.ON_WINDOWS else f"numapool-{os.getuid()}")


def own_name(pid: int) -> str:
    return _file_name(_namespace(), pid)


def test_pools_of_another_process_are_seen() -> None:
    code = """
    import time, numapool as nump
    with nump.publish_pools(0.05), nump.BufferPool() as pool:
        buffer = pool.acquire(1 << 20)
        print("ready", flush=True)
        pool.reserve(1 << 20, 3)
        time.sleep(0.3)
        from numapool.metrics.published_pools import published_pools
        print(list(published_pools())[0]["pools"][0]["total"]["retained_bytes"])
    print(list(published_pools()))
    """
    lines = child.check(code).splitlines()
    assert lines == ["ready", str(3 * MIB), "[]"]


def test_it_is_kept_up_to_date_and_taken_away(folder: Path) -> None:
    with nump.BufferPool() as pool, nump.publish_pools(0.02) as publication:
        (seen,) = published_pools()
        assert seen["pid"] == os.getpid()
        pool.reserve(MIB, 5)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            (seen,) = published_pools()
            retained = [one["total"]["retained_bytes"] for one in seen["pools"]]
            if 5 * MIB in retained:
                break
            time.sleep(0.01)
        assert 5 * MIB in retained
        assert systems.ON_WINDOWS or folder.stat().st_mode & 0o077 == 0
        publication.close()
        publication.close()
        assert list(published_pools()) == []
    assert list(folder.iterdir()) == []


def test_files_that_make_no_sense_are_left_out(folder: Path) -> None:
    assert list(published_pools()) == []
    now = time.time()
    for name, text in {
        own_name(1): "no json",
        "x.json": json.dumps({"time": now}),
        own_name(os.getpid()): json.dumps({"time": now - 100, "pools": []}),
        own_name(os.getppid()): json.dumps([now]),
    }.items():
        (folder / name).write_text(text)
    assert list(published_pools()) == []


@pytest.mark.skipif(systems.ON_WINDOWS, reason="a file's age alone tells there")
def test_a_process_that_is_gone_is_forgotten(folder: Path) -> None:
    list(published_pools())
    pid = int(child.check("import os; print(os.getpid())"))
    (folder / own_name(pid)).write_text(json.dumps({"time": time.time(), "pools": []}))
    assert list(published_pools()) == []
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(systems.ON_WINDOWS, reason="a file's age alone tells there")
def test_a_number_that_no_process_has_is_left_out(folder: Path) -> None:
    list(published_pools())
    (folder / own_name(1 << 70)).write_text(json.dumps({"time": time.time(), "pools": []}))
    assert list(published_pools()) == []


@pytest.mark.skipif(systems.ON_WINDOWS, reason="access lists say who may write there")
def test_a_folder_that_others_can_write_to_is_not_used(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="this user alone"):
        nump.publish_pools()
    assert list(published_pools()) == []


def test_a_relative_folder_is_not_believed(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with nump.publish_pools():
        assert len(list(folder.iterdir())) == 1
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("interval_s", [0, -1, float("nan"), 1e9])
def test_bad_intervals(interval_s: float) -> None:
    with pytest.raises(ValueError, match="interval_s"):
        nump.publish_pools(interval_s)


def test_a_process_of_another_pid_namespace_is_told_by_its_age_alone(folder: Path) -> None:
    """A container that shares the folder: its PID is another process's here, or nobody's."""
    list(published_pools())
    pid = int(child.check("import os; print(os.getpid())"))
    now = time.time()
    ages = {1: 0.0, 2: 60.0, 3: 8000.0}
    for number, age_s in ages.items():
        document = {"time": now - age_s, "pools": [], "pid": pid, "number": number}
        (folder / _file_name(number, pid)).write_text(json.dumps(document))
    assert [one["number"] for one in published_pools()] == [1]
    left = sorted(path.name for path in folder.iterdir())
    assert left == [_file_name(1, pid), _file_name(2, pid)]


def test_two_namespaces_have_two_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nump.publish_pools():
        monkeypatch.setattr("numapool.metrics.published_pools._namespace", lambda: 7)
        with nump.publish_pools():
            assert len(list(folder.glob("*.json"))) == 2


@pytest.mark.thread_unsafe(reason="has the monitors of the whole process rehearse")
@pytest.mark.parametrize("allowed", [True, False])
def test_a_process_that_allows_it_rehearses(folder: Path, allowed: bool) -> None:
    events: list[nump.PressureEvent] = []
    quiet = nump.PressurePolicy(margin_bytes=0)
    with (
        nump.PressureMonitor(quiet, sources=["meminfo"]) as monitor,
        monitor.subscribe(events.append),
        nump.publish_pools(0.01, rehearsals=allowed),
    ):
        assert next(iter(published_pools()))["rehearsals"] is allowed
        critical = nump.PressureLevel.CRITICAL
        ask_for_rehearsal(os.getpid(), critical, 5 * MIB, 3, 0.02)
        if allowed:
            assert within_seconds(lambda: len(events) == 2)
        else:
            time.sleep(0.1)
    assert [(one.level, one.demand_bytes, one.node_id) for one in events] == allowed * [
        (critical, 5 * MIB, 3),
        (nump.PressureLevel.NONE, 0, 3),
    ]
    assert list(folder.iterdir()) == []


def test_what_makes_no_sense_is_no_rehearsal(tmp_path: Path) -> None:
    wish = tmp_path / "wish"
    good = {"level": "MODERATE", "demand_bytes": 5, "node": None, "seconds": 1}
    wish.write_text(json.dumps(good))
    assert _wish_in(wish) == (nump.PressureLevel.MODERATE, 5, None, 1.0)
    assert not wish.exists()
    for bad in ("", "[]", "{", *(json.dumps(good | {name: "x"}) for name in good)):
        wish.write_text(bad)
        assert _wish_in(wish) is None, bad

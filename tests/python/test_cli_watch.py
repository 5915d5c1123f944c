"""``numapool watch``: the live view and its lines of JSON."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.child import running

WATCH = [sys.executable, "-m", "numapool", "watch"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A folder of its own for published pools, and a FIFO to announce pressure by."""
    fifo = tmp_path / "pressure"
    os.mkfifo(fifo)
    return {
        **os.environ,
        "XDG_RUNTIME_DIR": str(tmp_path),
        "MEMORY_PRESSURE_WATCH": str(fifo),
        "COLUMNS": "80",
        "LINES": "50",
        "TERM": "xterm",
    }


def test_json_is_one_document_per_line_with_every_event(environment: dict[str, str]) -> None:
    with running(
        [*WATCH, "--json", "--interval", "0.1", "--updates", "12"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline()]
        Path(environment["MEMORY_PRESSURE_WATCH"]).write_text("!")
        lines += process.stdout.readlines()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    documents = [json.loads(line) for line in lines]
    assert len(documents) == 12
    events = [event for document in documents for event in document["events"]]
    assert any(event["source"] == "systemd" and event["level"] == "MODERATE" for event in events), (
        events
    )
    last = documents[-1]
    assert last["level"] == "MODERATE"
    assert last["reading"]["total_bytes"] > 1 << 20
    assert {source["name"] for source in last["sources"]} >= {"psi", "meminfo", "balloon"}
    assert last["pools"] == []


def test_one_update_without_a_terminal(environment: dict[str, str]) -> None:
    program = """
import numapool as nump, subprocess, sys
with nump.publish_pools(0.05), nump.BufferPool() as pool:
    pool.reserve(1 << 20, 7)
    import time; time.sleep(0.2)
    print(subprocess.run(sys.argv[1:], capture_output=True, text=True, check=True).stdout)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *WATCH, "--updates", "1"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=60,
    )
    screen = done.stdout.removesuffix("\n")  # of print
    assert screen.startswith("memory pressure NONE")
    assert screen.endswith("No event yet.\n")
    assert "pool-1" in screen
    assert "memory pressure NONE" in screen
    assert "7 MiB" in screen
    assert "No event yet." in screen
    assert max(map(len, screen.splitlines())) <= 80


def test_live_until_ctrl_c(environment: dict[str, str]) -> None:
    leader, follower = pty.openpty()
    shown = b""
    with running(
        [*WATCH, "--interval", "0.05"],
        stdin=follower,
        stdout=follower,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        os.close(follower)
        end = time.monotonic() + 60
        asked = False
        while time.monotonic() < end and b"ended" not in shown:
            if select.select([leader], [], [], 0.1)[0]:
                shown += os.read(leader, 65536)
            if b"No event yet." in shown and not asked:
                Path(environment["MEMORY_PRESSURE_WATCH"]).write_text("!")
                asked = True
        process.send_signal(signal.SIGINT)
        while process.poll() is None and time.monotonic() < end:
            if select.select([leader], [], [], 0.1)[0]:
                try:
                    shown += os.read(leader, 65536)
                except OSError:  # the other end is closed
                    break
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    os.close(leader)
    assert b"MODERATE" in shown
    assert b"ended" in shown


def test_wrong_usage(environment: dict[str, str]) -> None:
    for arguments in (["--interval", "0"], ["--updates", "0"]):
        done = subprocess.run(
            [*WATCH, *arguments], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 2
        assert done.stdout == ""

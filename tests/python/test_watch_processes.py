"""``numapool watch`` at single processes: from outside, with keys, and rehearsals."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import child
from typer.testing import CliRunner

from numapool.cli import keys
from numapool.cli.app import app
from numapool.cli.sparkline import History
from numapool.cli.watch_state import SORTS, StallShare, pool_rows, sort_processes
from numapool.processes import cgroup_memory

WATCH = [sys.executable, "-m", "numapool", "watch"]
#: A program with a pool and a handler that takes rehearsals, for one to be asked for from outside.
PROGRAM = """
import sys, threading
import numapool as nump
told = threading.Event()
def handler(event):
    if event.rehearsed and event.level:
        print(event.node_id, event.bytes_to_release, event.trimmed_bytes, flush=True)
        told.set()
quiet = nump.PressurePolicy(margin_bytes=0)
with (
    nump.publish_pools(0.05, rehearsals=True),
    nump.BufferPool(name="kv-[b]cache") as pool,
    nump.PressureMonitor(quiet, ["meminfo"]) as monitor,
):
    pool.reserve("1MiB", 4)
    monitor.attach(pool)
    monitor.subscribe(handler)
    while not any(one["pools"] for one in published_pools()):
        time.sleep(0.01)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A folder of its own for published pools."""
    return {
        **os.environ,
        "XDG_RUNTIME_DIR": str(tmp_path),
        "COLUMNS": "80",
        "LINES": "50",
        "TERM": "xterm",
    }


@contextlib.contextmanager
def program(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    code = "import time\nfrom numapool.metrics.published_pools import published_pools" + PROGRAM
    with child.running(
        [sys.executable, "-c", code],
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "ready\n"
        yield other
        other.communicate(timeout=120)


def test_a_process_is_watched_from_outside_and_rehearses(environment: dict[str, str]) -> None:
    with program(environment) as other:
        options = ["--updates", "2", "--interval", "0.05"]
        done = CliRunner().invoke(app, ["watch", str(other.pid), *options], env=environment)
        assert done.exit_code == 0, done.output
        assert max(map(len, done.stdout.splitlines())) <= 80
        for words in (f"{other.pid}", "kv-[b]cache", "default", "4 MiB", "threads", "policy"):
            assert words in done.stdout
        told = CliRunner().invoke(
            app, ["watch", str(other.pid), "--json", *options], env=environment
        )
        last = json.loads(told.stdout.splitlines()[-1])
        assert [one["pid"] for one in last["processes"]] == [other.pid]
        assert [one["pid"] for one in last["pools"]] == [other.pid]
        assert last["processes"][0]["resident_bytes"] > 1 << 20

        rehearse = ["--rehearse", "--demand", "6MiB", "--node", "0", "--interval", "0.05"]
        done = CliRunner().invoke(
            app, ["watch", str(other.pid), "--updates", "3", *rehearse], env=environment
        )
        assert done.exit_code == 0, done.output
        assert "rehearsal" in done.stdout and "MODERATE" in done.stdout
        assert other.stdout is not None
        assert other.stdout.readline() == f"0 {2 << 20} {4 << 20}\n"


def test_only_programs_that_allow_it_rehearse(environment: dict[str, str]) -> None:
    done = CliRunner().invoke(app, ["watch", str(os.getpid()), "--rehearse"], env=environment)
    assert done.exit_code == 1
    assert "rehearsals=True" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--sort", "colour"], 2),
        (["--rehearse", "--demand", "much"], 2),
        (["no-such-program-is-here"], 1),
        (["4194304"], 1),  # no kernel gives out this number
    ],
)
def test_what_cannot_be_watched(arguments: list[str], status: int) -> None:
    done = CliRunner().invoke(app, ["watch", *arguments, "--updates", "1"])
    assert done.exit_code == status
    assert done.stdout == ""


def test_keys_sort_scroll_and_quit(environment: dict[str, str]) -> None:
    """On a terminal of 12 lines, of which the last one says what is left out."""
    leader, follower = pty.openpty()
    shown = b""
    # The terminal is the command's own, as that of a shell's foreground job is.
    with child.running(
        [*WATCH, "--interval", "30"],
        stdin=follower,
        stdout=follower,
        stderr=subprocess.PIPE,
        env={**environment, "LINES": "12"},
        start_new_session=True,
        preexec_fn=_own_terminal,
    ) as process:
        os.close(follower)

        def until(words: bytes) -> None:
            nonlocal shown
            end = time.monotonic() + 60
            while words not in shown and time.monotonic() < end:
                if select.select([leader], [], [], 0.1)[0]:
                    shown += os.read(leader, 65536)
            assert words in shown, shown
            shown = b""

        until(b"lines below")
        os.write(leader, b"s")
        until(b"s sorts (program)")
        os.write(leader, b"\x1b[D")
        until(b"s sorts (process)")
        os.write(leader, b"\x1b[B")
        until(b"1 lines above")
        os.write(leader, b"q")
        while process.poll() is None:
            if select.select([leader], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):  # the other end is closed
                    os.read(leader, 65536)
        assert process.returncode == 0
    os.close(leader)


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_without_a_terminal_there_are_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with keys.pressed() as wait:
        assert wait(0.001) is None


def test_history_is_drawn_between_nothing_and_the_most() -> None:
    history = History(most=4)
    for value in (9, 0, 5, 10, 20):
        history.add("a", value)
    history.add("b", 1)
    history.end_update()
    assert history.line("a") == "▁▃▅█"
    assert history.line("a", most=10) == "▁▅██"
    assert history.line("a", ascii_only=True).isascii()
    assert history.line("unknown") == ""
    history.add("a", 0)
    history.end_update()
    assert history.line("b") == "", "what is gone is forgotten"


def test_processes_are_sorted_by_each_column() -> None:
    def process(pid: int, name: str, size: int, share: float | None) -> dict[str, object]:
        return {"pid": pid, "name": name, "resident_bytes": size, "remote_share": share}

    found = [process(3, "a", 10, None), process(1, "b", 30, 0.1), process(2, "b", 20, 0.9)]
    orders = {by: [one["pid"] for one in sort_processes(found, by)] for by in SORTS}
    assert orders == {
        "process": [1, 2, 3],
        "program": [3, 1, 2],
        "memory": [1, 2, 3],
        "trimmed": [1, 2, 3],
        "hits": [2, 1, 3],
    }


def test_pools_are_sorted_by_each_column() -> None:
    def pool(name: str, held: int, trimmed: int, hits: int) -> dict[str, object]:
        counts = {"in_use_bytes": held, "retained_bytes": 0, "trimmed_bytes": trimmed}
        return {"name": name, "total": {**counts, "hits": hits, "misses": 10 if hits else 0}}

    state = {
        "pools": [
            {"pid": 2, "program": "a", "pools": [pool("x", 1, 9, 5), pool("y", 2, 0, 50)]},
            {"pid": 1, "program": "b", "pools": [pool("z", 3, 5, 0)]},
        ]
    }
    rows = {by: [one["name"] for _, one in pool_rows(state, by)] for by in SORTS}
    assert rows == {
        "process": ["z", "x", "y"],
        "program": ["x", "y", "z"],
        "memory": ["z", "y", "x"],
        "trimmed": ["x", "z", "y"],
        "hits": ["y", "x", "z"],
    }


def test_shares_of_stalls() -> None:
    stalls = StallShare()
    assert stalls.of("a", None, 1.0) is None
    assert stalls.of("a", 1.0, 1.0) == {"some": 0.0, "full": 0.0}
    time.sleep(0.01)
    assert stalls.of("a", 1e9, 1.0) == {"some": 1.0, "full": 0.0}
    assert stalls.of("b", 1e9, 1.0) == {"some": 0.0, "full": 0.0}


def test_a_cgroup_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup_memory, "_CGROUPS", str(tmp_path))
    (tmp_path / "cgroup").write_text("0::/app\n")
    folder = tmp_path / "app"
    folder.mkdir()
    for name, text in (
        ("current", "4096"),
        ("high", "8192"),
        ("max", "max"),
        ("pressure", "some avg10=0.00 avg60=0 avg300=0 total=2500000\nfull avg10=0 total=1000000"),
    ):
        (folder / f"memory.{name}").write_text(f"{text}\n")
    state = cgroup_memory.cgroup_state(str(tmp_path))
    assert state is not None
    assert state.to_dict() == {
        "path": str(folder),
        "current_bytes": 4096,
        "high_bytes": 8192,
        "max_bytes": None,
        "stall_some_s": 2.5,
        "stall_full_s": 1.0,
    }
    (tmp_path / "unified").mkdir()
    state = cgroup_memory.cgroup_state(str(tmp_path))
    assert state is not None and state.path == f"{tmp_path}/unified/app"
    assert state.current_bytes is state.stall_some_s is None
    assert cgroup_memory.cgroup_state(str(tmp_path / "nothing")) is None

"""Ranks on nodes: what they are told, how they end, and that none is left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import child

import numapool as nump
from numapool.processes import launch as module
from numapool.processes.launch import Place, places_of
from numapool.processes.rank_output import Output

RUN = [sys.executable, "-m", "numapool", "run"]
WAIT = "exec sleep 60"


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


@pytest.fixture
def three(node: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three ranks, wherever they are asked for."""
    monkeypatch.setattr(module, "places_of", lambda _: [Place(node=node)] * 3)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_ranks_are_told_who_they_are(
    three: None, node: int, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "$RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $NUMAPOOL_NODE $MASTER_ADDR"
    done = nump.launch(sh(f'echo "{told} $MASTER_PORT"; echo "to error" >&2'))
    assert done == nump.LaunchResult(statuses=(0, 0, 0), failed_rank=None, restarts=0)
    assert done.status == 0
    shown = capsys.readouterr()
    lines = [line.split() for line in sorted(shown.out.splitlines())]
    ports = {line.pop() for line in lines}
    assert lines == [
        [f"[{rank}", "node", f"{node}]", *map(str, (rank, rank, 3, 3, node)), "127.0.0.1"]
        for rank in range(3)
    ]
    assert len(ports) == 1 and 0 < int(ports.pop()) < 65536
    assert sorted(shown.err.splitlines()) == [f"[{rank} node {node}] to error" for rank in range(3)]


def test_the_environment_may_be_given(three: None, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"PATH": os.environ["PATH"], "MASTER_PORT": "7", "WORLD_SIZE": "99"}
    path = {name: os.environ[name] for name in ("PYTHONPATH", "LD_PRELOAD") if name in os.environ}
    nump.launch(sh("echo $MASTER_PORT $WORLD_SIZE $HOME."), env=given | path)
    assert {line.partition("] ")[2] for line in capsys.readouterr().out.splitlines()} == {"7 3 ."}


def test_a_failed_rank_ends_the_others_and_gives_its_status(three: None) -> None:
    done = nump.launch(sh(f"if [ $RANK = 1 ]; then exit 5; fi; {WAIT}"))
    assert done.status == 5
    assert done.failed_rank == 1
    assert done.statuses == (128 + signal.SIGTERM, 5, 128 + signal.SIGTERM)


def test_a_rank_that_ignores_the_request_is_killed(three: None, tmp_path: Path) -> None:
    stubborn = f"trap '' TERM; : > {tmp_path}/ready; {WAIT}"
    fails = f"until [ -e {tmp_path}/ready ]; do :; done; kill -ABRT $$"
    done = nump.launch(sh(f"case $RANK in 0) {stubborn};; 1) {fails};; esac"), grace_s=0.1)
    assert done.statuses[:2] == (128 + signal.SIGKILL, 128 + signal.SIGABRT)
    assert done.statuses[2] in (0, 128 + signal.SIGTERM)  # it may not have begun yet
    assert done.status == 128 + signal.SIGABRT


@pytest.mark.parametrize(("each", "starts"), [(False, "012012"), (True, "0112")])
def test_restarts(three: None, tmp_path: Path, each: bool, starts: str) -> None:
    script = f"""
        echo $RANK >> {tmp_path}/starts
        if [ $RANK = 1 ] && [ ! -e {tmp_path}/tried ]; then
            until [ $(wc -l < {tmp_path}/starts) = 3 ]; do :; done
            : > {tmp_path}/tried; exit 1
        fi
    """
    done = nump.launch(sh(script), restarts=2, each=each)
    assert (done.status, done.failed_rank, done.restarts) == (0, None, 1)
    assert sorted((tmp_path / "starts").read_text().split()) == sorted(starts)


def test_restarts_come_to_an_end(three: None) -> None:
    done = nump.launch(sh("test $RANK != 2"), restarts=1)
    assert (done.status, done.failed_rank, done.restarts) == (1, 2, 1)


def test_rank_0_alone_has_standard_input(three: None, capsys: pytest.CaptureFixture[str]) -> None:
    nump.launch(sh("test $RANK = 0 || readlink /proc/self/fd/0"))
    shown = {line.partition("] ")[2] for line in capsys.readouterr().out.splitlines()}
    assert shown == {"/dev/null"}


def test_output_is_passed_on_in_whole_lines(
    three: None, node: int, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    script = r"printf 'one '; printf 'line\nno end'; printf '\377\n' >&2"
    nump.launch(sh(script), log_dir=tmp_path / "logs")
    shown = capsysbinary.readouterr()
    for rank in range(3):
        start = f"[{rank} node {node}] ".encode()
        own = [line for line in shown.out.splitlines() if line.startswith(start)]
        assert own == [start + b"one line", start + b"no end"]
        assert start + b"\xff" in shown.err.splitlines()
        log = (tmp_path / "logs" / f"rank-{rank}.log").read_bytes()
        assert sorted(log.splitlines()) == [b"no end", b"one line", b"\xff"]


def test_a_child_that_keeps_the_output_open_is_not_waited_for(
    node: int, capsys: pytest.CaptureFixture[str]
) -> None:
    done = nump.launch(sh("sleep 60 & echo $!"), per=[node])
    assert done.statuses == (0,)
    left = int(capsys.readouterr().out.partition("] ")[2])
    os.kill(left, signal.SIGKILL)
    os.waitpid(left, 0)  # it is ours now: the tests adopt orphans


def test_no_rank_outlives_a_launcher_that_is_killed() -> None:
    command = [*RUN, "--per-node", *sh(f"echo $$; {WAIT}")]
    with child.running(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        rank = int(process.stdout.readline().partition("] ")[2])
        process.kill()
        process.wait(timeout=120)
    _, status = os.waitpid(rank, 0)  # it is ours now: the tests adopt orphans
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_launcher_that_is_asked_to_end_ends_its_ranks(number: int, status: int) -> None:
    command = [*RUN, "--per-node", "--grace", "1", *sh(f"echo $$; {WAIT}")]
    with child.running(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        rank = int(process.stdout.readline().partition("] ")[2])
        process.send_signal(number)
        process.wait(timeout=120)
    assert process.returncode == status
    with pytest.raises(ProcessLookupError):
        os.kill(rank, 0)


#: What a shell with job control does for its job in the foreground: it says when the job is
#: stopped, and continues it at a line of input.
SHELL = """
import fcntl, os, signal, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = subprocess.Popen(sys.argv[1:], process_group=0)
while True:
    os.tcsetpgrp(0, job.pid)
    os.killpg(job.pid, signal.SIGCONT)
    _, status = os.waitpid(job.pid, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpgrp())
    if not os.WIFSTOPPED(status):
        break
    print("stopped", flush=True)
    input()
print("ended", os.waitstatus_to_exitcode(status), flush=True)
"""


def test_a_terminal_stops_and_continues_launcher_and_ranks() -> None:
    """By Ctrl-Z and `fg`. A rank that only the launcher's stop left running would say so."""
    script = """
        trap 'echo continued; exit 0' CONT
        echo rank $$
        while :; do :; done
    """
    ours, terminal = os.openpty()
    shell = [sys.executable, "-c", SHELL, *RUN, "--per-node", *sh(script)]
    with (
        os.fdopen(ours, "r+b", buffering=0) as screen,
        child.running(
            shell, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
        ) as process,
    ):
        os.close(terminal)
        seen = b""

        def until(text: bytes) -> bytes:
            nonlocal seen
            while text not in seen:
                assert select.select([screen], [], [], 120)[0], seen
                seen += screen.read(4096)
            before, _, seen = seen.partition(text)
            return before

        until(b"rank ")
        rank = int(until(b"\r\n"))
        screen.write(b"\x1a")  # what Ctrl-Z sends
        assert b"continued" not in until(b"stopped\r\n")
        stat = Path(f"/proc/{rank}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "T":  # the kernel is about to
            time.sleep(0.001)
        screen.write(b"\n")
        until(b"continued\r\n")
        until(b"ended ")
        assert until(b"\r\n") == b"0"
        process.wait(timeout=120)


def test_the_command_passes_input_and_status_on() -> None:
    def run(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*RUN, *arguments], input=given, capture_output=True, text=True, timeout=120
        )

    done = run("--per-node", "--", "sh", "-c", "cat; exit 7", given="a line\n")
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout.endswith("] a line\n")
    dry = run("--per-node", "--dry-run", "true")
    assert dry.returncode == 0 and dry.stdout.startswith("rank 0: node ")
    missing = run("--per-device", "/dev/no such*", "true")
    assert missing.returncode == 2 and "no device matches" in missing.stderr
    none = run("--per-node", "no-such-program")
    assert none.returncode == 127 and "no-such-program: not found" in none.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--per-node", "--strict", "x"], "'--strict' does not go with"),
        (["--per-node", "--per-device", "/dev/*", "x"], "do not go together"),
        (["--per-device", "/dev/*", "--node", "0", "x"], "do not go together"),
        (["--node", "0", "--restarts", "1", "x"], "'--restarts' needs '--per-node'"),
        (["--per-node", "--each", "x"], "'--each' needs '--restarts'"),
        (["--per-node", "--restarts", "-1", "x"], "'-1' is not a whole number"),
        (["--per-node", "--grace", "soon", "x"], "'soon' is not a whole number"),
        (["--per-node", "--node", "x", "x"], "Invalid value for '--node'"),
        (["--per-node"], "Missing argument"),
    ],
)
def test_wrong_usage(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    from numapool.cli.run import start

    assert start(arguments) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_where_ranks_run(node: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b", "a"):
        (tmp_path / name).touch()
    monkeypatch.setattr(module, "device_node", lambda path: node)
    assert places_of(f"device:{tmp_path}/*") == [
        Place(node=node, device=f"{tmp_path}/a"),
        Place(node=node, device=f"{tmp_path}/b"),
    ]
    monkeypatch.setattr(module, "device_node", lambda path: None)
    with pytest.raises(nump.UnsupportedError, match=r"node of .*/a is unknown"):
        places_of(f"device:{tmp_path}/*")
    assert places_of([node, node]) == [Place(node=node)]
    for wrong in ("nodes", "device", ""):
        with pytest.raises(ValueError, match="per must be"):
            places_of(wrong)
    with pytest.raises(ValueError, match="at least one node"):
        places_of([])
    with pytest.raises(ValueError, match="must name a program"):
        nump.launch([])
    with pytest.raises(nump.NodeNotFoundError):
        nump.launch(["true"], per=[1023])


def test_a_gpu_is_the_only_one_that_its_rank_sees(node: int) -> None:
    places = [Place(node=node, device=f"/dev/{name}") for name in ("nvidia3", "nvidiactl")]
    job = module._Job(["true"], places, {}, 1.0, Output(None))
    gpu, other = (job._variables(rank, 1) for rank in range(2))
    assert (gpu["CUDA_VISIBLE_DEVICES"], gpu["CUDA_DEVICE_ORDER"]) == ("3", "PCI_BUS_ID")
    assert gpu["NUMAPOOL_DEVICE"] == "/dev/nvidia3"
    assert "CUDA_VISIBLE_DEVICES" not in other


def test_a_folder_of_the_same_name_is_not_run(
    node: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numapool").mkdir()
    (tmp_path / "numapool" / "__main__.py").write_text("raise SystemExit(9)\n")
    monkeypatch.chdir(tmp_path)
    assert nump.launch(["true"], per=[node]).status == 0

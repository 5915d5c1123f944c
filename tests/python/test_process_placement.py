"""Where processes are: compared with the kernel's own files and with numastat, and by ``ps``."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import child, confined

import numapool as nump
from numapool.processes import cgroup_memory, inspect, listing, node_loads
from numapool.processes.remote import faults_in, remote_share
from numapool.processes.tasks import Task

MODULE = [sys.executable, "-m", "numapool"]
PAGE = os.sysconf("SC_PAGESIZE")


@contextlib.contextmanager
def still_process() -> Iterator[int]:
    """A process whose pages do not change: one that is stopped."""
    command = ["sh", "-c", "echo; read nothing"]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    # A sanitizer's runtime, which is preloaded, has a heap of its own.
    own = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    with child.running(command, env=own, **streams) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGCONT)
        process.communicate(b"\n", timeout=120)


def by_the_kernel(pid: int) -> dict[int, int]:
    """Add up numa_maps, mapping by mapping."""
    sums: dict[int, int] = defaultdict(int)
    for line in Path(f"/proc/{pid}/numa_maps").read_text().splitlines():
        size = int((re.findall(r" kernelpagesize_kB=(\d+)", line) or [0])[0])
        for node, pages in re.findall(r" N(\d+)=(\d+)", line):
            sums[int(node)] += int(pages) * size * 1024
    return dict(sums)


def test_bytes_by_node_are_the_kernels_to_the_page() -> None:
    with still_process() as pid:
        found = nump.process_placement(pid)
        assert found.bytes_by_node == by_the_kernel(pid)
        assert found.mappings == len(Path(f"/proc/{pid}/numa_maps").read_text().splitlines())
    assert found.pid == pid
    assert found.name == "sh"
    assert found.policy == "default"
    assert {"heap", "stack", "file"} <= set(found.bytes_by_use) <= set(inspect.USES)
    assert found.cpus == tuple(sorted(os.sched_getaffinity(0)))
    assert sum(found.threads_by_node.values()) == 1
    json.dumps(found.to_dict())


@pytest.mark.skipif(shutil.which("numastat") is None, reason="needs numastat")
def test_numastat_says_the_same() -> None:
    with still_process() as pid:
        found = nump.process_placement(pid)
        shown = subprocess.check_output(["numastat", "-p", str(pid)], text=True, cwd="/")
    rows = dict(re.findall(r"^(\w+) .* ([\d.]+)$", shown, re.MULTILINE))
    mine = {use: sum(nodes.values()) / (1 << 20) for use, nodes in found.bytes_by_use.items()}
    mine["private"] = mine.get("private", 0) + mine.pop("file", 0)
    for use in ("heap", "stack", "huge", "private"):
        assert float(rows[use.capitalize()]) == pytest.approx(mine.get(use, 0), abs=0.006)
    assert float(rows["Total"]) == pytest.approx(found.resident_bytes / (1 << 20), abs=0.006)


def test_the_policy_is_what_the_program_was_started_with(node: int) -> None:
    with nump.children_on(node), still_process() as pid:
        assert nump.process_placement(pid).policy == f"prefer:{node}"


def test_this_process_by_default() -> None:
    found = nump.process_placement()
    assert found.pid == os.getpid()
    assert found.resident_bytes > 1 << 20
    assert repr(found).startswith("ProcessPlacement(pid=")


def test_processes_that_cannot_be_looked_at(tmp_path: Path) -> None:
    with child.running(["true"]) as process:
        process.wait(timeout=120)
    with pytest.raises(ProcessLookupError, match=f"no process {process.pid}"):
        nump.process_placement(process.pid)
    with pytest.raises(ValueError, match="pid must be at least 1"):
        nump.process_placement(0)
    (tmp_path / "status").write_text("Name:\tx\n")
    with pytest.raises(nump.UnsupportedError, match="CONFIG_NUMA"):
        inspect.placement_in(str(tmp_path), 7)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_another_users_process_says_what_it_takes() -> None:
    code = """
        import numapool as nump
        try:
            nump.process_placement(os.getppid())
        except PermissionError as error:
            print(error)
    """
    said = confined.check(code, unprivileged=True)
    assert "another user's" in said and "CAP_SYS_PTRACE" in said


def test_the_memory_cgroup_by_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "cgroup").write_text("1:name=systemd:/x\n0::/a b\n")
    stat = tmp_path / "a b" / "memory.numa_stat"
    stat.write_text("anon N0=4096 N1=8192\nfile N0=4096 N1=0\nslab_reclaimable N0=1 N1=1\n")
    monkeypatch.setattr(cgroup_memory, "_CGROUPS", str(tmp_path))
    assert inspect._cgroup_bytes(str(tmp_path)) == {0: 8192, 1: 8192}
    stat.unlink()
    assert inspect._cgroup_bytes(str(tmp_path)) is None
    (tmp_path / "cgroup").write_text("4:memory:/x\n")
    assert inspect._cgroup_bytes(str(tmp_path)) is None


SCHED = """python (1, #threads: 1)
-------------------------------------------------------------------
se.exec_start                                :      29305372.361133
numa_pages_migrated                          :                  123
numa_preferred_nid                           :                    0
total_numa_faults                            :                  640
current_node=0, numa_group_id=0
numa_faults node=0 task_private=300 task_shared=60 group_private=0 group_shared=0
numa_faults node=1 task_private=100 task_shared=20 group_private=0 group_shared=0
numa_faults node=x task_private=1
"""


def test_sampled_faults_are_believed_before_an_estimate(tmp_path: Path) -> None:
    assert faults_in(SCHED) == {0: 360, 1: 120}
    tasks = [Task(11, 0, 5), Task(12, 1, 5), Task(13, None, 5)]
    for task in (11, 12):
        (tmp_path / "task" / str(task)).mkdir(parents=True)
    (tmp_path / "task" / "11" / "sched").write_text(SCHED)
    share, evidence = remote_share(str(tmp_path), tasks, {0: PAGE}, 2)
    assert (share, evidence) == (0.25, "numa_faults")
    (tmp_path / "task" / "12" / "sched").write_text(SCHED)
    assert remote_share(str(tmp_path), tasks, {0: PAGE}, 2)[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("ticks", "share"), [((10, 0), 0.25), ((0, 10), 0.75), ((5, 5), 0.5), ((0, 0), 0.5)]
)
def test_the_estimate_weighs_pages_by_cpu_time(
    tmp_path: Path, ticks: tuple[int, int], share: float
) -> None:
    tasks = [Task(1, 0, ticks[0]), Task(2, 1, ticks[1])]
    found, evidence = remote_share(str(tmp_path), tasks, {0: 3 * PAGE, 1: PAGE}, 2)
    assert (found, evidence) == (share, "estimate")


def test_no_share_where_nothing_can_be_remote(tmp_path: Path) -> None:
    tasks = [Task(1, 0, 1)]
    assert remote_share(str(tmp_path), tasks, {0: PAGE}, 1) == (None, "")
    assert remote_share(str(tmp_path), tasks, {}, 2) == (None, "")
    assert remote_share(str(tmp_path), [Task(1, None, 1)], {0: PAGE}, 2) == (None, "")


def counter(folder: Path, *values: int) -> int:
    """Return a descriptor that gives the next value with each read, as a counter does."""
    file = folder / f"counter-{len(list(folder.iterdir()))}"
    file.write_bytes(b"".join(value.to_bytes(8, sys.byteorder) for value in values))
    return os.open(file, os.O_RDONLY)


@pytest.mark.parametrize(("local", "share"), [(False, 0.25), (True, 0.2)])
def test_the_processor_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: bool, share: float
) -> None:
    """Of some processors the one counter leaves out what the other counts."""
    made = []

    def count(thread: int) -> SimpleNamespace:
        if thread == 3:
            raise ProcessLookupError(errno.ESRCH, "it has ended")
        one = SimpleNamespace(
            loads=counter(tmp_path, 100, 200),
            remote=counter(tmp_path, 10, 35),
            loads_are_local=local,
        )
        made.append(one)
        return one

    monkeypatch.setattr(node_loads, "_core", SimpleNamespace(count_node_loads=count))
    tasks = [Task(1, 0, 5), Task(2, 1, 3), Task(3, 0, 1)]
    assert remote_share("/proc/none", tasks, {0: PAGE}, 2, 0) == (share, "node_loads")
    assert len(made) == 2
    for one in made:
        for descriptor in (one.loads, one.remote):
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.EACCES, "perf_event_paranoid"), (errno.ENOENT, "no events node-loads")],
)
def test_counters_that_there_are_not(
    monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    def refuse(thread: int) -> None:
        raise OSError(number, "perf_event_open: no")

    monkeypatch.setattr(node_loads, "_core", SimpleNamespace(count_node_loads=refuse))
    with pytest.raises(nump.UnsupportedError, match=says) as raised:
        remote_share("/proc/none", [Task(1, 0, 1)], {0: PAGE}, 2, 0.1)
    assert raised.value.errno == number


def test_how_long_to_count_is_checked() -> None:
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="count_s must be"):
            nump.process_placement(count_s=wrong)


def ps(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MODULE, "ps", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )


def test_ps_shows_a_process_in_detail() -> None:
    with still_process() as pid:
        done = ps(str(pid))
        document = json.loads(ps(str(pid), "--json").stdout)["processes"]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"sh (process {pid}): ")
    assert re.search(r"^heap .*KiB", done.stdout, re.MULTILINE)
    assert re.search(r"^memory policy +default", done.stdout, re.MULTILINE)
    assert [one["pid"] for one in document] == [pid]
    assert sum(document[0]["bytes_by_node"].values()) == document[0]["resident_bytes"]


def test_ps_shows_several_processes_by_name_and_number() -> None:
    with still_process() as pid, still_process() as other:
        done = ps(str(pid), str(other))
        by_name = json.loads(ps("sh", "--json").stdout)["processes"]
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split()[:2] for line in done.stdout.splitlines()]
    assert [str(pid), "sh"] in rows and [str(other), "sh"] in rows
    assert {pid, other} <= {one["pid"] for one in by_name}


def test_ps_watches() -> None:
    with still_process() as pid:
        done = ps(str(pid), "--watch", "--interval", "0.05", "--updates", "2", "--json")
    assert done.returncode == 0
    assert [json.loads(line)["processes"][0]["pid"] for line in done.stdout.splitlines()] == [
        pid,
        pid,
    ]


def test_a_system_without_proc_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_PROC", str(tmp_path))
    for ask in (listing.processes, listing.own_processes):
        with pytest.raises(nump.UnsupportedError, match="ps needs Linux"):
            ask()


def test_ps_says_what_is_not_there() -> None:
    with child.running(["true"]) as process:
        process.wait(timeout=120)
    for target, says in ((str(process.pid), f"no process {process.pid}"), ("no such", "named")):
        done = ps(target)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("numapool: there is no process")
        assert says in done.stderr

"""Programs and processes on nodes: where their pages are, a full node, and moving them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import numapool as nump

from .harness.machine import Machine
from .support.kernel_log import KernelLog
from .support.nodes import MIB, drop_caches, free_bytes

_RUN = [sys.executable, "-m", "numapool", "run"]
_SIZE = 16 * MIB
#: Fills memory, and tells how its own pages are spread, by the kernel's file.
_FILL = f"data = bytes(range(256)) * ({_SIZE} // 256)"
_TELL = f"""
import os
{_FILL}
print(os.getpid(), sorted(os.sched_getaffinity(0)), flush=True)
print(open("/proc/self/numa_maps").read())
"""


def own_pages(numa_maps: str) -> dict[int, int]:
    """Bytes by node of the mappings that are no file's; others' pages of files lie anywhere."""
    sums: dict[int, int] = defaultdict(int)
    for line in numa_maps.splitlines():
        if " file=" not in line:
            for node, count in re.findall(r" N(\d+)=(\d+)", line):
                sums[int(node)] += int(count) * int(re.findall(r"kernelpagesize_kB=(\d+)", line)[0])
    return {node: size * 1024 for node, size in sums.items()}


@contextmanager
def waiting(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A program that has filled memory, and waits."""
    code = f"{_FILL}\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [*command, sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


@pytest.mark.machine("two_equal")
def test_programs_have_their_pages_and_cpus_on_the_node(machine: Machine) -> None:
    node = 1
    program = [sys.executable, "-c", _TELL]
    by_run = subprocess.Popen(
        [*_RUN, "--node", str(node), "--", *program], stdout=subprocess.PIPE, text=True
    )
    with nump.children_on(node):
        by_block = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    for process in (by_run, by_block):
        output, _ = process.communicate(timeout=600)
        told, maps = output.split("\n", 1)
        cpus = list(machine.present_cpus(machine.node(node)))
        assert told == f"{process.pid} {cpus}"
        found = own_pages(maps)
        assert found[node] > _SIZE
        assert found[node] > 0.99 * sum(found.values())


@pytest.mark.machine("two_equal")
def test_ranks_run_on_their_nodes(machine: Machine) -> None:
    code = f"{_TELL}\nimport numapool; print('bound', numapool.bound_node(), os.environ['RANK'])"
    done = subprocess.run(
        [*_RUN, "--per-node", "--", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    for node in (0, 1):
        start = f"[{node} node {node}] "
        own = [
            line.removeprefix(start) for line in done.stdout.splitlines() if line.startswith(start)
        ]
        assert own[0].endswith(str(list(machine.present_cpus(machine.node(node)))))
        assert own[-1] == f"bound {node} {node}"
        found = own_pages("\n".join(own[1:-1]))
        assert found[node] > 0.99 * sum(found.values())


@pytest.mark.machine("two_equal", "two_equal_612")
def test_interleaving_and_several_nodes(machine: Machine) -> None:
    shown = {}
    for options in (["--interleave", "all"], ["--memory", "0-1"], ["--weighted-interleave", "0-1"]):
        done = subprocess.run(
            [*_RUN, *options, "--", "cat", "/proc/self/numa_maps"],
            capture_output=True,
            text=True,
            check=True,
        )
        shown[options[0]] = (done.stdout.split("\n", 1)[0].split(" ", 1)[1], done.stderr)
    newer = machine.kernel != "6.1"
    assert shown["--interleave"][0].startswith("interleave:0-1")
    assert shown["--memory"][0].startswith("prefer (many):0-1")
    weighted, said = shown["--weighted-interleave"]
    assert weighted.startswith("weighted interleave:0-1" if newer else "default")
    assert ("memory is not bound" in said) is not newer
    assert nump.process_placement().policy == "default"


@pytest.mark.machine("two_equal")
def test_ps_agrees_with_numastat_and_knows_the_policy(machine: Machine) -> None:
    with waiting(*_RUN, "--node", "1", "--") as process:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        found = nump.process_placement(process.pid)
        shown = subprocess.check_output(["numastat", "-p", str(process.pid)], text=True)
    total = next(line for line in shown.splitlines() if line.startswith("Total"))
    by_numastat = dict(enumerate(map(float, total.split()[1:-1])))
    by_us = {node: found.bytes_by_node.get(node, 0) / MIB for node in by_numastat}
    assert by_us == pytest.approx(by_numastat, abs=0.006)
    assert found.policy == "prefer:1"
    assert found.threads_by_node == {1: 1}
    assert found.remote_share is not None and found.remote_evidence == "estimate"
    remote = 1 - found.bytes_by_node[1] / found.resident_bytes
    assert found.remote_share == pytest.approx(remote)


@pytest.mark.machine("two_equal")
def test_migrate_moves_a_process_and_back(machine: Machine) -> None:
    with waiting(*_RUN, "--node", "0", "--") as process:
        maps = Path(f"/proc/{process.pid}/numa_maps")
        assert own_pages(maps.read_text()).get(1, 0) < MIB
        told: list[tuple[int, int]] = []
        done = nump.migrate_process(
            process.pid, [0], [1], progress=lambda *moved: told.append(moved)
        )
        now = own_pages(maps.read_text())
        assert now[1] > _SIZE > 100 * now.get(0, 0)
        assert done.moved_bytes > _SIZE
        assert done.after.bytes_by_node[1] > _SIZE
        assert set(done.kept_bytes) <= {"shared", "busy"}
        assert told[-1][0] > _SIZE
        back = json.loads(
            subprocess.check_output(
                [*_RUN[:-1], "migrate", str(process.pid), "--to", "0", "--json"], text=True
            )
        )
        assert back["moved_bytes"] > _SIZE
        assert own_pages(maps.read_text()).get(1, 0) < MIB


def _grow(*options: str) -> tuple[int, str]:
    """Run a program that takes more than the small node has; return how it ended."""
    code = """if True:
        open("/proc/self/oom_score_adj", "w").write("1000")
        data = bytearray(b"x") * (400 << 20)
        print(open("/proc/self/numa_maps").read())
    """
    command = [*_RUN, *options, "--", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.machine("small_beside_big")
def test_a_full_node_spills_where_membind_is_killed(machine: Machine) -> None:
    drop_caches()
    assert free_bytes(0) > 800 * MIB
    log = KernelLog()
    status, shown = _grow("--node", "1")
    assert log.oom_kills() == []
    assert status == 0
    found = own_pages(shown)
    assert found[0] > 100 * MIB and found[1] > 50 * MIB
    status, _ = _grow("--node", "1", "--strict")
    assert status == -signal.SIGKILL
    assert any("CONSTRAINT_MEMORY_POLICY" in line for line in log.oom_kills())
    log.close()


@pytest.mark.machine("small_beside_big")
def test_migrate_asks_for_room_first(machine: Machine) -> None:
    drop_caches()
    room = free_bytes(1)
    code = f"data = bytearray(b'x') * {room + 64 * MIB}\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [*_RUN, "--memory", "0", "--", sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        before: Any = nump.process_placement(process.pid).bytes_by_node
        with pytest.raises(MemoryError, match=r"to node 1: .* are available there"):
            nump.migrate_process(process.pid, None, [1])
        assert nump.process_placement(process.pid).bytes_by_node == before
        process.kill()

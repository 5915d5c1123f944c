"""capabilities() and doctor on real many-node kernels: the same facts by other ways."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import numapool as nump

from .harness.machine import Machine
from .support.children import Cgroup, Outcome, in_child
from .support.nodes import reserved_huge_pages, setting

pytestmark = pytest.mark.machine("two_equal", "lopsided", "hmat_612", "two_equal_612")

_NOBODY = 65534


def _found() -> dict[str, dict[str, Any]]:
    return {one.name: one.to_dict() for one in nump.capabilities()}


def _result(outcome: Outcome) -> Any:
    assert outcome.signal is None and outcome.error is None, outcome
    return outcome.result


def _with_memory(machine: Machine) -> list[int]:
    return [node.node_id for node in machine.online_nodes if node.memory_mib]


def test_every_node_is_bound_to_and_moved_to(machine: Machine) -> None:
    found = _found()
    usable = _with_memory(machine)
    listed = ", ".join(map(str, usable)) if usable != [0, 1, 2] else "0-2"
    listed = "0-1" if usable == [0, 1] else listed
    assert found["nodes"]["available"]
    assert found["bind"]["detail"] == f"mbind put a page on node {listed}"
    assert found["verify"]["detail"].startswith(
        "move_pages and get_mempolicy and numa_maps saw a page on node"
    )
    assert found["migrate"]["available"]
    assert found["migrate"]["detail"].startswith("a page was moved to node ")
    assert found["thread CPUs"]["available"] and found["thread memory"]["available"]
    assert found["weighted interleave"]["available"] == (machine.kernel != "6.1")
    assert found["whole machine"]["available"]
    assert not [one for one in found.values() if one["detail"].startswith("could not be")]


@pytest.mark.machine("lopsided", "two_equal_612")  # the others' capabilities are the same calls
def test_doctor_says_the_same_to_a_script(machine: Machine) -> None:
    command = [sys.executable, "-m", "numapool", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["ok"] and document["missing"] == []
    assert [one["name"] for one in document["capabilities"]] == list(_found())


def test_reserved_pages_by_node(machine: Machine) -> None:
    node = _with_memory(machine)[-1]
    assert not _found()["hugetlb pages of 2 MiB"]["available"]
    with reserved_huge_pages(node, 3):
        found = _found()["hugetlb pages of 2 MiB"]
    assert found["available"]
    assert found["detail"] == f"node {node}: 3 of 3 free; one was mapped"


def test_a_narrow_cpuset(machine: Machine) -> None:
    others = _with_memory(machine)[1:]
    with Cgroup("narrow", cpuset_mems=0, cpuset_cpus=0, memory_max=256 << 20) as cgroup:
        found = _result(in_child(_found, cgroup=cgroup))
    listed = "1" if others == [1] else "2" if others == [2] else "1-2"
    assert found["nodes"]["available"] is False
    assert found["bind"]["detail"] == "mbind put a page on node 0"
    whole = found["whole machine"]
    assert whole["available"] is False
    assert f"the memory of node {listed} may not be used" in whole["detail"]
    assert f"CPUs 1-{machine.cpu_count - 1} may not be used" in whole["detail"]
    assert "/sys/fs/cgroup/narrow; memory.max 256 MiB" in found["cgroup"]["detail"]


def test_tiers_and_balancing_as_the_kernel_has_them(machine: Machine) -> None:
    balancing = "/proc/sys/kernel/numa_balancing"
    if os.path.exists(balancing):  # noqa: PTH110
        for value in ("0", "1"):
            with setting(balancing, value):
                assert _found()["automatic balancing"]["available"] is (value == "1")
    tiers = sorted(Path("/sys/devices/virtual/memory_tiering").glob("memory_tier*"))
    found = _found()["memory tiers"]
    assert found["available"] is (len(tiers) > 1)
    for tier in tiers:
        nodes = (tier / "nodelist").read_text().strip()
        assert f"tier {tier.name.removeprefix('memory_tier')}: node {nodes}" in found["detail"]


def test_triggers_by_privilege(machine: Machine) -> None:
    """Root's takes any window; before Linux 6.4 nobody else had one, later with windows of 2 s."""
    if not Path("/proc/pressure/memory").exists():
        assert not _found()["pressure"]["available"]
        return

    def as_nobody() -> dict[str, dict[str, Any]]:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
        return _found()

    found, without = _found(), _result(in_child(as_nobody))
    assert found["pressure"]["available"] and without["pressure"]["available"]
    assert found["pressure trigger"]["available"]
    assert without["pressure trigger"]["available"] is False
    assert "numapool polls it" in without["pressure trigger"]["detail"]
    assert without["locked memory"]["available"]
    assert "RLIMIT_MEMLOCK" in without["locked memory"]["detail"]
    assert without["bind"]["available"] and without["verify"]["available"]

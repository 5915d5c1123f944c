"""Limits of cgroups (v2): a cpuset that leaves out a node, limits below the request."""

from __future__ import annotations

import ctypes
import errno
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest

import numapool as nump

from .harness.machine import Machine
from .support import page_cache, pages
from .support.children import Cgroup, Outcome, in_child
from .support.nodes import MIB, drop_caches, reserved_huge_pages

pytestmark = pytest.mark.machine("two_equal", "two_equal_612")

_PATTERN = bytes(range(256)) * 16
_HUGE = 2 * MIB


def _result(outcome: Outcome) -> Any:
    assert outcome.signal is None and outcome.error is None, outcome
    return outcome.result


def _topology_seen() -> dict[str, Any]:
    topology = nump.NumaTopology.detect()
    return {
        "nodes": [node.node_id for node in topology.nodes],
        "allowed": list(topology.allowed_node_ids),
        "nearest": list(topology.nearest(1)),
        "is_numa": topology.multi_node,
    }


def _allocate_on_one() -> dict[str, Any]:
    allocator = nump.NumaAllocator()
    with allocator.allocate(16 * MIB, 1) as buffer:
        placed = {"step": buffer.step.value, "found": pages.bytes_by_node(buffer)}
    try:
        allocator.allocate(16 * MIB, 1, strict=True)
    except nump.PlacementError as error:
        return placed | {"strict": str(error)}
    return placed


def test_cpuset_leaves_out_a_node(machine: Machine) -> None:
    with Cgroup("narrow", cpuset_mems=0) as cgroup:
        seen = _result(in_child(_topology_seen, cgroup=cgroup))
        assert seen == {"nodes": [0, 1], "allowed": [0], "nearest": [0], "is_numa": False}
        placed = _result(in_child(_allocate_on_one, cgroup=cgroup))
    assert placed["step"] == "nearest"
    assert placed["found"] == {"0": 16 * MIB}
    assert "node 1" in placed["strict"] and "allowed" in placed["strict"]


def test_cpuset_narrowed_under_a_live_buffer(machine: Machine) -> None:
    with Cgroup("narrowing", cpuset_mems="0-1") as cgroup:

        def narrow_meanwhile() -> dict[str, Any]:
            allocator = nump.NumaAllocator()
            with allocator.allocate(16 * MIB, 1) as held, memoryview(held) as view:
                view[: len(_PATTERN)] = _PATTERN
                before = held.placement().bytes_by_node
                (cgroup.path / "cpuset.mems").write_text("0")
                after, found = held.placement().bytes_by_node, pages.bytes_by_node(held)
                intact = bytes(view[: len(_PATTERN)]) == _PATTERN
                with allocator.allocate(8 * MIB, 1) as fresh:
                    fresh_found = pages.bytes_by_node(fresh)
            return {
                "before": before,
                "agrees": after == found,
                "intact": intact,
                "fresh": fresh_found,
            }

        outcome = _result(in_child(narrow_meanwhile, cgroup=cgroup))
    assert outcome == {
        "before": {"1": 16 * MIB},
        "agrees": True,
        "intact": True,
        "fresh": {"0": 8 * MIB},
    }


def test_what_is_kept_follows_a_cpuset(machine: Machine) -> None:
    """Widened, and then replaced, under an allocator and a pool of before."""
    with Cgroup("changing", cpuset_mems=0) as cgroup:

        def take_on_each() -> dict[str, Any]:
            allocator = nump.NumaAllocator()
            pool = nump.BufferPool(allocator)

            def where(node: int, strict: bool) -> list[str]:
                answers = []
                for take in (allocator.allocate, pool.acquire):
                    try:
                        with take(8 * MIB, node, strict=strict) as buffer:
                            answers.append(", ".join(map(str, pages.bytes_by_node(buffer))))
                    except nump.PlacementError:
                        answers.append("no")
                return answers

            def spread() -> str:
                with allocator.allocate_interleaved(8 * MIB) as buffer:
                    return ", ".join(map(str, sorted(pages.bytes_by_node(buffer))))

            said = {"0": [where(1, True), spread()]}
            for nodes in ("0-1", "1"):
                (cgroup.path / "cpuset.mems").write_text(nodes)
                said[nodes] = [where(1, False), where(1, True), spread()]
            return said | {"gone": [where(0, False), where(0, True)]}

        outcome = _result(in_child(take_on_each, cgroup=cgroup))
    assert outcome == {
        "0": [["no", "no"], "0"],
        "0-1": [["1", "1"], ["1", "1"], "0, 1"],
        "1": [["1", "1"], ["1", "1"], "1"],
        "gone": [["1", "1"], ["no", "no"]],
    }


def _allocate(size_mib: int, **options: Any) -> str:
    try:
        with nump.NumaAllocator().allocate(size_mib * MIB, **options) as buffer:
            return f"{sum(pages.bytes_by_node(buffer).values()) // MIB} MiB"
    except MemoryError as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("options", [{}, {"node": 1}, {"node": 1, "strict": True}])
def test_memory_limit_is_seen_before_a_page_is_touched(
    machine: Machine, options: dict[str, Any]
) -> None:
    with Cgroup("limited", memory_max=128 * MIB) as cgroup:
        refused = _result(in_child(lambda: _allocate(256, **options), cgroup=cgroup, victim=True))
        assert refused.startswith("MemoryError") and "/limited" in refused
        assert int(cgroup.read("memory.peak")) < 64 * MIB
        assert cgroup.events()["max"] == cgroup.events()["oom_kill"] == 0
        granted = _result(in_child(lambda: _allocate(64, **options), cgroup=cgroup, victim=True))
        assert granted == "64 MiB"
        assert cgroup.events()["oom_kill"] == 0


def test_limit_of_an_ancestor_counts(machine: Machine) -> None:
    with Cgroup("outer", memory_max=128 * MIB):
        Path("/sys/fs/cgroup/outer/cgroup.subtree_control").write_text("+memory")
        with Cgroup("outer/inner") as inner:
            refused = _result(in_child(lambda: _allocate(256), cgroup=inner, victim=True))
            assert refused.startswith("MemoryError") and "outer" in refused
            assert inner.events()["oom_kill"] == 0


def test_page_cache_of_the_cgroup_is_not_in_the_way(machine: Machine) -> None:
    def fill_then_allocate() -> str:
        page_cache.read_device(100 * MIB)
        return _allocate(96)

    drop_caches()
    page_cache.keep_device_open()
    with Cgroup("cached", memory_max=160 * MIB) as cgroup:
        granted = _result(in_child(fill_then_allocate, cgroup=cgroup, victim=True))
        assert granted == "96 MiB"
        assert cgroup.events()["oom_kill"] == 0


def test_interleaved_heeds_the_limit_too(machine: Machine) -> None:
    def interleave() -> str:
        try:
            nump.NumaAllocator().allocate_interleaved(256 * MIB)
        except MemoryError as error:
            return type(error).__name__
        return "granted"

    with Cgroup("spread", memory_max=128 * MIB) as cgroup:
        assert _result(in_child(interleave, cgroup=cgroup, victim=True)) == "MemoryError"
        assert cgroup.events()["oom_kill"] == 0


def test_memory_high_without_swap_is_a_limit(machine: Machine) -> None:
    """The kernel would stop the process for seconds at a time, without end."""
    with Cgroup("high", memory_high=128 * MIB) as cgroup:
        refused = _result(in_child(lambda: _allocate(256), cgroup=cgroup, victim=True))
        assert refused.startswith("MemoryError") and "memory.high" in refused
        assert cgroup.events()["high"] == 0
        assert _result(in_child(lambda: _allocate(64), cgroup=cgroup, victim=True)) == "64 MiB"


def test_a_limit_above_a_cgroup_without_a_memory_controller(machine: Machine) -> None:
    def refused_and_told() -> list[str]:
        told = [one.detail for one in nump.capabilities() if one.name == "cgroup"]
        return [_allocate(256), *told]

    with Cgroup("parent", memory_max=128 * MIB), Cgroup("parent/own") as own:
        refused, told = _result(in_child(refused_and_told, cgroup=own, victim=True))
    assert refused.startswith("MemoryError") and "/parent" in refused
    assert "memory.max 128 MiB (of /sys/fs/cgroup/parent)" in told


def _use_huge_pages(populate: bool) -> str:
    try:
        with (
            nump.NumaAllocator().allocate(
                16 * MIB, 0, page_size=_HUGE, populate=populate
            ) as buffer,
            memoryview(buffer) as view,
        ):
            view[:] = bytes(16 * MIB)
        return "written"
    except MemoryError as error:
        return f"MemoryError: {error}"


@pytest.mark.parametrize("limit", ["max", "rsvd.max"])
def test_limit_on_huge_pages(machine: Machine, limit: str) -> None:
    with reserved_huge_pages(0, 8), Cgroup("huge") as cgroup:
        file = cgroup.path / f"hugetlb.2MB.{limit}"
        file.write_text(str(2 * _HUGE))
        for populate in (True, False):
            said = _result(in_child(_use_huge_pages, populate, cgroup=cgroup))
            assert said.startswith("MemoryError")
            assert "this process may use 2 more" in said and "raise that limit" in said
            assert file.name in said
        file.write_text("max")
        assert _result(in_child(_use_huge_pages, False, cgroup=cgroup)) == "written"


def _before_5_14() -> None:
    """Take MADV_POPULATE_WRITE from this process, as the tests outside of guests do."""
    file = Path(__file__).parents[1] / "python" / "support" / "seccomp.py"
    runpy.run_path(str(file))["refuse_argument"]("madvise", 2, 23, errno.EINVAL)


def _use_huge_pages_blindly(call_is_missing: bool) -> str:
    """With a hierarchy of cgroups that cannot be seen, so that its limits are not known."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x20000) == 0  # CLONE_NEWNS
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/sys/fs/cgroup"], check=True)
    if call_is_missing:
        _before_5_14()
    return _use_huge_pages(populate=True)


@pytest.mark.parametrize("call_is_missing", [False, True], ids=["this kernel", "before 5.14"])
def test_a_limit_on_huge_pages_that_was_missed(machine: Machine, call_is_missing: bool) -> None:
    """Touched by the program, the third page would be a SIGBUS."""
    with reserved_huge_pages(0, 8), Cgroup("unseen") as cgroup:
        (cgroup.path / "hugetlb.2MB.max").write_text(str(2 * _HUGE))
        outcome = in_child(_use_huge_pages_blindly, call_is_missing, cgroup=cgroup)
        said = _result(outcome)
        assert said.startswith("MemoryError") and "hugetlb limit is reached" in said
        (cgroup.path / "hugetlb.2MB.max").write_text("max")
        outcome = in_child(_use_huge_pages_blindly, call_is_missing, cgroup=cgroup)
        assert _result(outcome) == "written"

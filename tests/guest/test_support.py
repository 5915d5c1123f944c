"""The tests' own eyes: what they say about memory placed by bare system calls is what was asked."""

from __future__ import annotations

import mmap
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from .harness.machine import Machine
from .support import page_cache, pages, policy
from .support.children import Cgroup, beside_child, in_child
from .support.nodes import MIB, drop_caches, meminfo, settled_unused, wait_unused

pytestmark = pytest.mark.machine("small_beside_big")


_HUGE = 2 * MIB


@dataclass(frozen=True)
class _Part:
    """A part of some memory."""

    address: int
    nbytes: int


def _bound_memory(node: int, nbytes: int) -> policy.Memory:
    memory = policy.Memory(nbytes)
    memory.bind(node)
    memory.touch()
    return memory


@pytest.mark.parametrize("node", [0, 1])
def test_both_views_see_memory_where_it_was_bound(machine: Machine, node: int) -> None:
    memory = _bound_memory(node, 8 * MIB)
    assert pages.bytes_by_node(memory) == {node: memory.nbytes}
    line = pages.numa_maps(memory)
    assert line.policy == f"bind:{node}"
    assert line.bytes_by_node == {node: memory.nbytes}


def test_a_neighbour_is_not_counted_in(machine: Machine) -> None:
    """The kernel makes one mapping of both parts; each is told alone, and so is the whole."""
    whole = _bound_memory(1, 8 * MIB)
    first, second = (_Part(whole.address + at, nbytes) for at, nbytes in ((0, MIB), (MIB, 7 * MIB)))
    for memory in (first, whole, second):
        assert pages.numa_maps(memory).bytes_by_node == {1: memory.nbytes}
    assert [one for one in pages.mappings() if one.start == second.address] == []


def test_huge_pages_are_counted_page_by_page(machine: Machine) -> None:
    memory = policy.Memory(8 * MIB)
    begin = -memory.address % _HUGE
    memory.advise(mmap.MADV_NOHUGEPAGE)
    memory.advise(mmap.MADV_HUGEPAGE, begin, 2 * _HUGE)
    memory.touch()
    start = memory.address + begin
    assert pages.huge_bytes(_Part(start, _HUGE)) == _HUGE
    assert pages.huge_bytes(_Part(start + _HUGE // 2, _HUGE // 4)) == _HUGE // 4
    assert pages.huge_bytes(_Part(start + 2 * _HUGE, MIB)) == 0
    assert pages.huge_bytes(memory) == 2 * _HUGE


def test_untouched_memory_is_nowhere(machine: Machine) -> None:
    memory = policy.Memory(4 * MIB)
    memory.bind(1)
    assert pages.bytes_by_node(memory) == {}


def test_page_cache_fills_its_node_and_is_clean(machine: Machine) -> None:
    drop_caches()
    gained = page_cache.fill(1)
    state = meminfo(1)
    assert gained > 100 * MIB
    assert state["MemFree"] < 48 * MIB
    assert state["Active(file)"] + state["Inactive(file)"] >= gained - 16 * MIB
    assert state["Dirty"] < MIB
    drop_caches()
    assert wait_unused(1, gained) >= gained


def test_child_holds_memory_until_it_ends(machine: Machine) -> None:
    before = settled_unused(1)

    def hold() -> int:
        return _bound_memory(1, 64 * MIB).nbytes

    with beside_child(hold) as held:
        during = settled_unused(1)
        assert during < before - held + 8 * MIB
    assert wait_unused(1, during + held - 8 * MIB) >= during + held - 8 * MIB


def test_child_outcomes_are_told_apart(machine: Machine) -> None:
    assert in_child(lambda: 3).result == 3
    failed = in_child(lambda: [][1])
    assert failed.error is not None and "IndexError" in failed.error
    assert in_child(lambda: signal.raise_signal(signal.SIGKILL)).signal == signal.SIGKILL


def test_child_runs_in_its_cgroup(machine: Machine) -> None:
    with Cgroup("support-test", memory_max=64 * MIB) as cgroup:
        outcome = in_child(lambda: Path("/proc/self/cgroup").read_text(), cgroup=cgroup)
        assert outcome.result.strip() == "0::/support-test"
        killed = in_child(lambda: _bound_memory(0, 128 * MIB).nbytes, cgroup=cgroup, victim=True)
        assert killed.signal == signal.SIGKILL
        assert cgroup.events()["oom_kill"] == 1

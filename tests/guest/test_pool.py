"""Pools on real nodes: never the wrong node's block, spills counted, trimmed memory back on it."""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path

import pytest

import numapool as nump

from .harness.machine import Machine
from .support import pages
from .support.kernel_log import KernelLog
from .support.nodes import MIB, drop_caches, on_cpus, settled_unused, wait_unused
from .support.pages import rounded_up

_KIB = 1 << 10


def _nodes_with_memory(machine: Machine) -> list[int]:
    return [node.node_id for node in machine.online_nodes if node.memory_mib]


def _sole_node(buffer: nump.NodeBuffer) -> int:
    """The node of every page, by the page frames."""
    (found,) = pages.bytes_by_node(buffer).items()
    assert found[1] == rounded_up(buffer.nbytes)
    return found[0]


@pytest.mark.machine("two_equal", "four_asymmetric", "two_equal_612")
def test_a_block_of_one_node_never_serves_another(machine: Machine) -> None:
    chance = random.Random(1)
    nodes = _nodes_with_memory(machine)
    pool = nump.BufferPool()
    held: list[tuple[nump.NodeBuffer, int]] = []
    for _ in range(400):
        if held and (len(held) > 12 or chance.random() < 0.5):
            buffer, node = held.pop(chance.randrange(len(held)))
            assert _sole_node(buffer) == node
            buffer.close()
            continue
        node = chance.choice(nodes)
        size = chance.choice([4 * _KIB, 20 * _KIB, 200 * _KIB, MIB, 3 * MIB])
        buffer = pool.acquire(size, node, strict=chance.random() < 0.2)
        assert _sole_node(buffer) == node == buffer.node_id
        assert buffer.step is nump.AllocationStep.PREFERRED
        held.append((buffer, node))
    seen = pool.statistics()
    assert seen.total.spills == 0
    assert seen.total.hits > 100
    for node in nodes:
        line_bytes = sum(one.nbytes for one, where in held if where == node)
        assert seen.by_node[node].in_use_bytes >= line_bytes


@pytest.mark.machine("two_equal", "two_equal_612")
def test_numa_maps_agrees_for_blocks_of_their_own(machine: Machine) -> None:
    pool = nump.BufferPool()
    for _ in range(2):  # new, then retained
        for node in _nodes_with_memory(machine):
            with pool.acquire(6 * MIB, node) as buffer:
                assert set(pages.numa_maps(buffer).bytes_by_node) == {node}
    assert pool.statistics().total.hits == 2


@pytest.mark.machine("two_equal")
def test_the_node_is_that_of_the_calling_thread(machine: Machine) -> None:
    pool = nump.BufferPool()
    for _ in range(2):
        for node in machine.online_nodes:
            with on_cpus(set(node.cpus)), pool.acquire(MIB) as buffer:
                assert buffer.requested_node == node.node_id == _sole_node(buffer)
    assert pool.statistics().total.hits == 2


@pytest.mark.machine("small_beside_big", "small_beside_big_612")
def test_a_full_node_spills_and_says_so() -> None:
    drop_caches()
    pool = nump.BufferPool()
    size = 32 * MIB
    held = []
    for _ in range(20):
        buffer = pool.acquire(size, 1)
        held.append((buffer, buffer.step))
        if buffer.step is not nump.AllocationStep.PREFERRED:
            break
    buffer, step = held.pop()
    assert step is nump.AllocationStep.NEAREST
    assert _sole_node(buffer) == buffer.node_id == 0
    assert all(_sole_node(one) == 1 for one, _ in held)
    counts = pool.statistics().by_node
    assert (counts[1].spills, counts[0].spills) == (1, 0)
    assert counts[0].in_use_bytes == size
    # Nearly as much as a block may be left on node 1, and the kernel may free the rest of it.
    rest = []
    with pytest.raises(nump.PlacementError):
        for _ in range(20):
            rest.append(nump.NumaAllocator().allocate(4 * MIB, 1, strict=True))
    buffer.close()
    again = pool.acquire(size, 1)  # the spilled block, retained under node 0: a hit and a spill
    counts = pool.statistics().by_node
    assert (counts[1].spills, counts[1].hits) == (2, 1)
    assert _sole_node(again) == 0
    with pytest.raises(nump.PlacementError):
        pool.acquire(size, 1, strict=True)
    held.pop()[0].close()  # room on node 1 again
    with pool.acquire(size, 1, strict=True) as strict:
        assert _sole_node(strict) == 1


@pytest.mark.machine("four_asymmetric")
def test_a_set_is_served_by_its_members_before_it_spills() -> None:
    drop_caches()
    members = set(nump.nodes("socket:0"))
    assert members == {0, 1}
    pool = nump.BufferPool()
    log = KernelLog()
    held: list[nump.NodeBuffer] = []
    with on_cpus({1}):
        while pool.statistics().total.spills == 0:
            held.append(pool.acquire(64 * MIB, "socket:0"))
            assert len(held) < 20
        *inside, spilled = held
        whole = [one for one in inside if one.step is nump.AllocationStep.PREFERRED]
        assert {_sole_node(one) for one in whole} == members
        assert _sole_node(held[0]) == 1  # the thread's own comes first
        # What is left on both may hold more together, which is no spill either: the kernel frees
        # what it can spare there as they fill.
        shared = [one for one in inside if one.step is not nump.AllocationStep.PREFERRED]
        assert all(set(pages.bytes_by_node(one)) <= members for one in shared)
        assert spilled.node_id not in members
        by_node = pool.statistics().by_node
        assert by_node[1].spills == 1
        assert by_node[0].misses + by_node[1].misses == len(held)
        from_other = next(one for one in whole if one.node_id == 0)
        from_other.close()
        with pool.acquire(64 * MIB, nump.NodeSet(members)) as again:  # the one that came back
            assert again.node_id == again.requested_node == 0
        assert pool.statistics().total.spills == 1
    for one in held:
        one.close()
    kills = log.oom_kills()
    log.close()
    assert kills == []


@pytest.mark.machine("lopsided")
def test_a_node_without_memory_lives_off_its_neighbour() -> None:
    pool = nump.BufferPool()
    for expected_hits in (0, 1, 2):
        with pool.acquire(MIB, 1) as buffer:
            assert _sole_node(buffer) == 2  # 17 away; node 0 is 20 away
            assert buffer.step is nump.AllocationStep.NEAREST
        counts = pool.statistics().by_node[1]
        assert (counts.hits, counts.spills) == (expected_hits, expected_hits + 1)


@pytest.mark.machine("two_equal", "four_asymmetric")
def test_a_migrated_block_is_filed_where_it_went() -> None:
    pool = nump.BufferPool()
    for size in (3 * MIB, 8 * _KIB):
        buffer = pool.acquire(size, 0)
        memoryview(buffer)[:3] = b"abc"
        buffer.migrate(1)
        address = buffer.address
        assert bytes(memoryview(buffer)[:3]) == b"abc"
        buffer.close()
        with pool.acquire(size, 0) as other:
            assert other.address != address
            assert _sole_node(other) == 0
        with pool.acquire(size, 1) as moved:
            assert _sole_node(moved) == 1
            # Small blocks share a huge page: all of them went, and any may come first.
            assert moved.address // (2 * MIB) == address // (2 * MIB)


@pytest.mark.machine("two_equal", "two_equal_612", "four_asymmetric")
def test_what_is_trimmed_is_free_on_its_node_again(machine: Machine) -> None:
    drop_caches()
    pool = nump.BufferPool()
    pool.reserve(16 * MIB, 6, 1)
    pool.reserve(8 * _KIB, 4096, 1)
    pool.reserve(16 * MIB, 4, 0)
    before = {node: settled_unused(node) for node in (0, 1)}
    freed = pool.trim(node=1)
    assert freed >= 128 * MIB
    assert wait_unused(1, before[1] + freed - 4 * MIB) >= before[1] + freed - 4 * MIB
    assert settled_unused(0) < before[0] + 48 * MIB  # its 64 MiB stay
    assert pool.statistics().by_node[0].retained_bytes == 64 * MIB
    assert pool.statistics().by_node[1].trimmed_bytes == freed


@pytest.mark.machine("two_equal_612")
def test_blocks_that_the_system_moved_are_noticed() -> None:
    pool = nump.BufferPool()
    buffer = pool.acquire(4 * MIB, 0)
    address = buffer.address
    buffer.close()
    moved_before = _migrated()
    _migrate_process(from_node=0, to_node=1)
    assert _migrated() > moved_before
    time.sleep(1.1)  # the pool reads the kernel's counters once a second, off its fast path
    pool.statistics()
    with pool.acquire(4 * MIB, 0) as fresh:
        assert _sole_node(fresh) == 0
        assert fresh.address != address


def _migrated() -> int:
    for line in Path("/proc/vmstat").read_text().splitlines():
        if line.startswith("pgmigrate_success "):
            return int(line.split()[1])
    raise AssertionError("no pgmigrate_success")


def _migrate_process(*, from_node: int, to_node: int) -> None:
    """All pages of this process, as an administrator does it: migratepages(8)."""
    subprocess.run(
        ["migratepages", str(os.getpid()), str(from_node), str(to_node)], check=True, timeout=120
    )

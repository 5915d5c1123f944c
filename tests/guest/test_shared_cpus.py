"""Nodes that share CPUs (numa=fake=2): a thread's home is the node that was asked for."""

from __future__ import annotations

from typing import Any

import pytest

import numapool as nump
from numapool.picture.page import compose

from .support import pages
from .support.kernel_log import KernelLog
from .support.nodes import MIB, drop_caches, free_bytes

pytestmark = pytest.mark.machine("shared_cpus")

_SIZE = 8 * MIB


@pytest.fixture(scope="module")
def topology() -> nump.NumaTopology:
    topology = nump.NumaTopology.detect()
    cpus = {node.node_id: node.cpu_cores for node in topology.nodes}
    assert cpus == {0: (0, 1), 1: (0, 1)}
    return topology


def _found(allocator: nump.NumaAllocator, pool: nump.BufferPool) -> list[Any]:
    """Where memory is that names no node: the library's own, by the kernel's word."""
    with allocator.allocate(_SIZE) as fresh, pool.acquire(_SIZE) as lent:
        return [pages.bytes_by_node(one) for one in (fresh, lent)]


@pytest.mark.parametrize("node", [0, 1])
def test_memory_that_names_no_node(topology: nump.NumaTopology, node: int) -> None:
    allocator = nump.NumaAllocator(topology)
    wanted = [{node: _SIZE}] * 2
    with nump.BufferPool(allocator) as pool:
        with nump.run_on(node):
            assert _found(allocator, pool) == wanted
        with nump.NodeExecutor(node, 1, topology=topology) as executor:
            assert executor.submit(_found, allocator, pool).result() == wanted
            assert (executor.node_id, executor.memory_node, executor.cpus) == (node, node, (0, 1))


def test_strict_and_move(topology: nump.NumaTopology) -> None:
    with nump.NumaAllocator(topology).allocate(_SIZE, 1, strict=True) as buffer:
        assert pages.bytes_by_node(buffer) == {1: _SIZE}
        buffer.migrate(0)
        assert pages.bytes_by_node(buffer) == {0: _SIZE}


def test_what_a_node_does_not_hold_is_on_the_other(topology: nump.NumaTopology) -> None:
    """Both are as far from a thread as from themselves."""
    drop_caches()
    log = KernelLog()
    size = free_bytes(1) + 32 * MIB
    assert size < free_bytes(0) + free_bytes(1) - 64 * MIB
    with nump.NumaAllocator(topology).allocate(size, 1) as buffer:
        found = pages.bytes_by_node(buffer)
        assert buffer.step is not nump.AllocationStep.PREFERRED
        assert sum(found.values()) == size and set(found) <= {0, 1}
    kills = log.oom_kills()
    log.close()
    assert kills == []


def test_both_are_drawn(topology: nump.NumaTopology) -> None:
    picture = compose(topology, lambda text, size, bold: len(text) * size * 0.65 / 72)
    texts = [label.text for label in picture.labels]
    assert {"node 0", "node 1"} <= set(texts)
    assert texts.count("2 CPUs: 0-1") == 2

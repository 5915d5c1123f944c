"""Nodes that share CPUs (numa=fake=2): a thread's home is the node that was asked for."""

from __future__ import annotations

from typing import Any

import pytest

import numapool as nump

from .support import pages
from .support.nodes import MIB

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

"""A machine of three nodes: 0 and 1 with the CPUs, 2 with memory alone (as machine.py makes it)."""

from __future__ import annotations

import os

import pytest

import numapool as nump


def test_all_nodes_are_found_and_the_last_has_no_cpus() -> None:
    topology = nump.NumaTopology.detect()
    assert [node.node_id for node in topology.nodes] == [0, 1, 2]
    assert topology.nodes[2].cpu_cores == ()
    cpus = [cpu for node in topology.nodes for cpu in node.cpu_cores]
    assert sorted(cpus) == list(range(os.cpu_count() or 1))


def test_distances_are_assumed_and_say_so() -> None:
    topology = nump.NumaTopology.detect()
    assert topology.distances_assumed
    assert topology.distance_matrix == ((10, 20, 20), (20, 10, 20), (20, 20, 10))


@pytest.mark.parametrize("node", [0, 1, 2])
def test_memory_is_asked_of_each_node_and_nothing_is_claimed_that_was_not_seen(node: int) -> None:
    with nump.NumaAllocator().allocate(4 << 20, node) as buffer:
        assert buffer.requested_node == node
        held = buffer.placement().bytes_by_node
        assert sum(held.values()) <= 4 << 20
        assert set(held) <= {0, 1, 2}


def test_a_node_that_is_not_there_is_an_error() -> None:
    with pytest.raises(nump.NodeNotFoundError, match="3"):
        nump.NumaAllocator().allocate(1, 3)

"""Fixtures of the tests that run on any machine."""

from __future__ import annotations

import pytest

import numapool as nump


@pytest.fixture(scope="session")
def allocator() -> nump.NumaAllocator:
    return nump.NumaAllocator()


@pytest.fixture(scope="session")
def node(allocator: nump.NumaAllocator) -> int:
    """Return a node with memory that this process may use."""
    first = allocator.topology.nodes[0].node_id
    return allocator.topology.nearest(first)[0]

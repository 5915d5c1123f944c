"""Fixtures of the tests that run on any machine."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

import numapool as nump

# A busy machine is no failure: nothing here is a test of speed.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def allocator() -> nump.NumaAllocator:
    return nump.NumaAllocator()


@pytest.fixture(scope="session")
def node(allocator: nump.NumaAllocator) -> int:
    """Return a node with memory that this process may use."""
    first = allocator.topology.nodes[0].node_id
    return allocator.topology.nearest(first)[0]

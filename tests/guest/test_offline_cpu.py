"""CPUs that go offline at run time: the topology follows, and their node still takes memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import numapool as nump

from .harness.machine import Machine
from .support import pages
from .support.nodes import MIB

pytestmark = pytest.mark.machine("two_equal")


@contextmanager
def offline(*cpus: int) -> Iterator[None]:
    switches = [Path(f"/sys/devices/system/cpu/cpu{cpu}/online") for cpu in cpus]
    affinity = os.sched_getaffinity(0)
    for switch in switches:
        switch.write_text("0")
    try:
        yield
    finally:
        for switch in switches:
            switch.write_text("1")
        os.sched_setaffinity(0, affinity)


def test_topology_leaves_out_an_offline_cpu(machine: Machine) -> None:
    with offline(3):
        topology = nump.NumaTopology.detect()
        assert topology.node(1).cpu_cores == (2,)
        assert topology.node(0).cpu_cores == (0, 1)
    assert nump.NumaTopology.detect().node(1).cpu_cores == (2, 3)


def test_node_whose_cpus_are_all_offline_keeps_its_memory(machine: Machine) -> None:
    with offline(2, 3):
        topology = nump.NumaTopology.detect()
        assert topology.node(1).cpu_cores == ()
        assert topology.nearest(1) == (1, 0)
        with nump.NumaAllocator(topology).allocate(64 * MIB, 1, strict=True) as buffer:
            assert pages.bytes_by_node(buffer) == {1: 64 * MIB}


@pytest.mark.parametrize("gone", [(3,), (2, 3)])
def test_allocator_made_before_goes_on(machine: Machine, gone: tuple[int, ...]) -> None:
    allocator = nump.NumaAllocator()
    with offline(*gone):
        with allocator.allocate(64 * MIB, 1, strict=True) as buffer:
            assert pages.bytes_by_node(buffer) == {1: 64 * MIB}
            assert buffer.step is nump.AllocationStep.PREFERRED
        with allocator.allocate(8 * MIB) as buffer:
            assert set(pages.bytes_by_node(buffer)) <= {0, 1}
    with allocator.allocate(8 * MIB, 1, strict=True) as buffer:
        assert pages.bytes_by_node(buffer) == {1: 8 * MIB}

"""``numapool bench`` on many nodes: every cell is there, its memory and threads in place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from numapool.bench import BenchOptions, BenchReport, run
from numapool.bench.site import Site

from .harness.machine import Machine
from .support import pages, volumes
from .support.modules import load_module

_MIB = 1 << 20
_SIZE = 4 * _MIB
_MATRICES = ["latency", "read", "write", "copy", "triad", "mix"]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulated processor's speed is no figure: a few short rounds will do."""
    monkeypatch.setattr("numapool.bench.clock._MOST_S", 0.02)
    monkeypatch.setattr("numapool.bench.clock._ROUND_NS", 1_000_000)


def measure(*sections: str, paths: Sequence[str] = ()) -> BenchReport:
    return run(BenchOptions(size_bytes=_SIZE, sections=sections, paths=tuple(paths)))


def cpus_of(node: int) -> set[int]:
    """The CPUs of a node, as the kernel lists it."""
    text = Path(f"/sys/devices/system/node/node{node}/cpulist").read_text().strip()
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


@pytest.mark.machine("four_asymmetric", "lopsided")
def test_the_matrix_is_complete_and_every_cell_verified(machine: Machine) -> None:
    sources = [node.node_id for node in machine.online_nodes if node.cpus]
    targets = [node.node_id for node in machine.online_nodes if node.memory_mib]
    report = measure("latency", "bandwidth")
    assert [matrix.name for matrix in report.matrices] == _MATRICES
    assert (list(report.sources), list(report.targets)) == (sources, targets)
    pairs = [(source, target) for source in sources for target in targets]
    for matrix in report.matrices:
        assert [(cell.source, cell.target) for cell in matrix.cells] == pairs
        for cell in matrix.cells:
            assert cell.verified
            assert cell.bytes_on_target == cell.measured_bytes == _SIZE
            assert cell.figure.median > 0
            of_node = 1 if matrix.name == "latency" else len(cpus_of(cell.source))
            assert cell.threads == of_node
    kinds = {warning.kind for warning in report.warnings}
    assert not kinds & {"placement", "threads", "left out"}


@pytest.mark.machine("four_asymmetric")
def test_the_buffers_are_where_page_frames_say(machine: Machine) -> None:
    """By witnesses that numapool does not ask: pagemap and the nodes' memory blocks."""
    site = Site(BenchOptions(size_bytes=_SIZE))
    with site.placed():
        assert sorted(site.buffers) == [node.node_id for node in machine.online_nodes]
        for node, buffer in site.buffers.items():
            assert pages.bytes_by_node(buffer) == {node: _SIZE}
    for node, cpus in site.cpus.items():
        assert set(cpus) == cpus_of(node)


@pytest.mark.machine("two_equal")
def test_latency_under_load_of_the_own_and_the_far_node() -> None:
    report = measure("loaded")
    pairs = list(dict.fromkeys((point.source, point.target) for point in report.loaded))
    assert pairs == [(0, 0), (0, 1), (1, 1)]
    for point in report.loaded:
        assert point.verified
        assert point.latency_ns.median > 0
        assert point.load_bytes_s.median > 0


@pytest.mark.machine("two_equal")
def test_lines_go_between_caches_and_pages_between_nodes() -> None:
    report = measure("caches", "migration")
    for name in ("cache_modified", "cache_clean"):
        matrix = report.matrix(name)
        assert matrix is not None
        assert {(0, 1), (1, 0)} <= {(cell.source, cell.target) for cell in matrix.cells}
        assert all(cell.figure.median > 0 for cell in matrix.cells)
        assert all(cell.bytes_on_target == cell.measured_bytes == _SIZE for cell in matrix.cells)
    moved = report.matrix("migration")
    assert moved is not None
    assert [(cell.source, cell.target) for cell in moved.cells] == [(0, 1), (1, 0)]
    for cell in moved.cells:
        assert cell.figure.median > 0
        assert cell.bytes_on_target == cell.measured_bytes == _SIZE


@pytest.mark.machine("lopsided")
def test_pages_and_allocators_on_the_first_node() -> None:
    report = measure("pages", "allocators")
    base = report.pages[0]
    assert (base.node_id, base.kind, base.verified, base.reason) == (0, "base", True, None)
    assert {one.name for one in report.allocations} >= {"np.empty", "allocate", "pool"}
    # np.empty gets memory where malloc has it: its pages may be of an earlier owner's.
    ours = [one for one in report.allocations if one.name != "np.empty"]
    assert [one for one in ours if one.bytes_on_node != one.size_bytes] == []


@pytest.mark.machine("devices")
def test_a_disk_is_read_into_the_near_and_the_far_node() -> None:
    load_module("nvme")
    volumes.wait_for(lambda: "files1" in volumes.disks_by_serial(), "the disk files1")
    path = f"/dev/{volumes.disks_by_serial()['files1']}"
    near, far = measure("device", paths=[path]).devices
    assert (near.device_node, near.target, near.place) == (1, 1, "near")
    assert (far.device_node, far.target, far.place) == (1, 0, "far")
    for read in (near, far):
        assert read.verified
        assert read.direct_share == 1.0
        assert read.bytes_s.median > 0

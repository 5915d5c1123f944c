"""How long does it take to learn the topology, beside libhwloc, and to import the package?"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.support.figures import record
from benchmarks.support.generated import write_machine
from benchmarks.support.race import Contender, race
from numapool import NumaTopology

SIZES = [(8, 256), (32, 2048)]
REPEATS = 5


@pytest.fixture(scope="module")
def hwloc() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libhwloc.so.15")
    except OSError as error:
        pytest.skip(f"the peer libhwloc is not available: {error}")
    library.hwloc_bitmap_weight.argtypes = [ctypes.c_void_p]
    for sets in ("nodeset", "cpuset"):
        getter = getattr(library, f"hwloc_topology_get_topology_{sets}")
        getter.argtypes, getter.restype = [ctypes.c_void_p], ctypes.c_void_p
    return library


def load(hwloc: ctypes.CDLL) -> tuple[int, int]:
    """Make and load a topology with libhwloc's defaults; the numbers of nodes and CPUs in it."""
    handle = ctypes.c_void_p()
    assert hwloc.hwloc_topology_init(ctypes.byref(handle)) == 0
    try:
        assert hwloc.hwloc_topology_load(handle) == 0
        nodes = hwloc.hwloc_topology_get_topology_nodeset(handle)
        cpus = hwloc.hwloc_topology_get_topology_cpuset(handle)
        return hwloc.hwloc_bitmap_weight(nodes), hwloc.hwloc_bitmap_weight(cpus)
    finally:
        hwloc.hwloc_topology_destroy(handle)


def several_times(work: Callable[[], object]) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(REPEATS):
            work()

    return repeated


def everything(topology: NumaTopology) -> int:
    """Build all that the topology offers, for parts of it are made when first asked for."""
    return len(topology.nodes) + len(topology.distance_matrix) + len(topology.allowed_node_ids)


def size(topology: NumaTopology) -> tuple[int, int]:
    return topology.node_count, sum(len(node.cpu_cores) for node in topology.nodes)


def test_this_machine(benchmark: BenchmarkFixture, hwloc: ctypes.CDLL) -> None:
    assert load(hwloc) == size(NumaTopology.detect())
    ours = Contender(name="numapool", work=several_times(lambda: everything(NumaTopology.detect())))
    peer = Contender(name="libhwloc init+load", work=several_times(lambda: load(hwloc)))
    times = race(benchmark, ours, [peer], rounds=40)
    record(
        benchmark,
        what="topology of this machine",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
        at_most=1 / 3,
        repeats=REPEATS,
    )


@pytest.mark.parametrize(("nodes", "cpus"), SIZES)
def test_large_machine(
    benchmark: BenchmarkFixture,
    nodes: int,
    cpus: int,
    hwloc: ctypes.CDLL,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = write_machine(tmp_path, nodes=nodes, cpus=cpus)
    for name, value in (("HWLOC_FSROOT", str(root)), ("HWLOC_COMPONENTS", "linux,stop")):
        monkeypatch.setenv(name, value)
    assert load(hwloc) == size(NumaTopology.from_sysfs(root)) == (nodes, cpus)
    ours = Contender(
        name="numapool", work=several_times(lambda: everything(NumaTopology.from_sysfs(root)))
    )
    peer = Contender(name="libhwloc init+load", work=several_times(lambda: load(hwloc)))
    times = race(benchmark, ours, [peer], rounds=20 if cpus < 1000 else 5)
    record(
        benchmark,
        what=f"topology of {nodes} nodes, {cpus} CPUs",
        peer=peer.name,
        ours_ns=times[ours.name],
        peer_ns=times[peer.name],
        at_most=0.1,
        repeats=REPEATS,
        note="libhwloc reads a generated tree by HWLOC_FSROOT, and looks at caches and cores too",
    )


def import_ns(module: str) -> int:
    """The time that importing takes in a new interpreter, without the interpreter's own start."""
    code = (
        "import time; t = time.perf_counter_ns(); "
        f"import {module}; print(time.perf_counter_ns() - t)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_import(benchmark: BenchmarkFixture) -> None:
    for module in ("numapool", "numpy"):  # from the page cache, both
        import_ns(module)
    pairs = [(import_ns("numapool"), import_ns("numpy")) for _ in range(15)]
    benchmark.pedantic(lambda: import_ns("numapool"), rounds=3)  # type: ignore[no-untyped-call]
    record(
        benchmark,
        what="import",
        peer="import numpy",
        ours_ns=[ours for ours, _ in pairs],
        peer_ns=[peer for _, peer in pairs],
        at_most=0.5,
    )

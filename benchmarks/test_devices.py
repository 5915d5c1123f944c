"""How long does it take to find the node of a file, and to learn of all devices beside libhwloc?"""

from __future__ import annotations

import ctypes
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.support.figures import record
from benchmarks.support.generated import write_machine
from benchmarks.support.generated_devices import write_devices
from benchmarks.support.hwloc import load_with_devices, open_hwloc
from benchmarks.support.race import Contender, race
from numapool import NumaAllocator, NumaTopology, device_locality, device_node

NODES, CPUS, FUNCTIONS = 8, 256, 208
MOST_FOR_A_FILE_US = 200
MOST_FOR_ALL_MS = 5


@pytest.fixture(scope="module")
def hwloc() -> ctypes.CDLL:
    try:
        return open_hwloc()
    except OSError as error:
        pytest.skip(f"the peer libhwloc is not available: {error}")


def by_hand(path: str) -> int | None:
    """What a program does without us: the file's device in sysfs, and the folders above it."""
    device = os.stat(path).st_dev  # noqa: PTH116
    place = os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    while place not in ("/sys/devices", "/"):
        try:
            with open(f"{place}/numa_node") as file:  # noqa: PTH123
                node = int(file.read())
                return node if node >= 0 else None
        except FileNotFoundError:
            place = os.path.dirname(place)  # noqa: PTH120
    return None


def times(work: Callable[[], object], count: int) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(count):
            work()

    return repeated


@pytest.mark.parametrize("call", ["allocator.device_node", "device_node", "device_locality"])
def test_node_of_a_file(benchmark: BenchmarkFixture, tmp_path: Path, call: str) -> None:
    path = str(tmp_path / "file")
    Path(path).touch()
    allocator = NumaAllocator()
    calls: dict[str, Callable[[str], object]] = {
        "allocator.device_node": allocator.device_node,
        "device_node": device_node,
        "device_locality": device_locality,
    }
    assert device_node(path) == by_hand(path)
    repeats = 100
    ours = Contender(name="numapool", work=times(lambda: calls[call](path), repeats))
    peer = Contender(name="sysfs by hand in Python", work=times(lambda: by_hand(path), repeats))
    taken = race(benchmark, ours, [peer], rounds=30)
    record(
        benchmark,
        what=f"{call} of a file",
        peer=peer.name,
        ours_ns=taken[ours.name],
        peer_ns=taken[peer.name],
        repeats=repeats,
        note=f"the node of a file is to be found in {MOST_FOR_A_FILE_US} us",
    )
    assert min(taken[ours.name]) / repeats <= MOST_FOR_A_FILE_US * 1000


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_machine(tmp_path_factory.mktemp("machine"), nodes=NODES, cpus=CPUS)
    assert write_devices(root, nodes=NODES, cpus=CPUS, functions=FUNCTIONS) == FUNCTIONS
    return root


def everything(topology: NumaTopology) -> dict[int, int]:
    """Read all devices, of all nodes; how many each node has."""
    return {node.node_id: len(node.local_devices) for node in topology.nodes}


def test_all_devices(
    benchmark: BenchmarkFixture,
    hwloc: ctypes.CDLL,
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("HWLOC_FSROOT", str(machine)), ("HWLOC_COMPONENTS", "linux,stop")):
        monkeypatch.setenv(name, value)
    # Both have seen all of it: half of the functions are root ports, and each node has a host
    # bridge.
    seen = load_with_devices(hwloc)
    assert seen["bridges"] == FUNCTIONS // 2 + NODES
    assert seen["functions"] == FUNCTIONS // 2
    topology = NumaTopology.from_sysfs(machine)
    kinds = Counter(device.kind for device in topology.devices)
    assert seen["devices"] == kinds.total() - kinds["gpu"]  # which libhwloc has by driver alone
    assert len({device.pci_address for device in topology.devices}) == FUNCTIONS // 2
    assert set(everything(topology).values()) == {kinds.total() // NODES}

    ours = Contender(name="numapool", work=lambda: everything(NumaTopology.from_sysfs(machine)))
    peer = Contender(name="libhwloc, I/O on", work=lambda: load_with_devices(hwloc))
    taken = race(benchmark, ours, [peer], rounds=30)
    record(
        benchmark,
        what=f"detect with {FUNCTIONS} PCI functions on {NODES} nodes",
        peer=peer.name,
        ours_ns=taken[ours.name],
        peer_ns=taken[peer.name],
        at_most=1 / 3,
        note=f"nodes and all devices are to be read in {MOST_FOR_ALL_MS} ms",
    )
    assert min(taken[ours.name]) <= MOST_FOR_ALL_MS * 1e6


def test_devices_cost_nothing_unless_asked_for(benchmark: BenchmarkFixture, machine: Path) -> None:
    """The nodes alone, with 208 functions in the tree and without."""
    bare = write_machine(machine / "bare", nodes=NODES, cpus=CPUS)

    def nodes_of(root: Path) -> Callable[[], None]:
        return times(lambda: NumaTopology.from_sysfs(root).nodes, 20)

    with_devices = Contender(name="numapool", work=nodes_of(machine))
    without = Contender(name="the same without devices", work=nodes_of(bare))
    taken = race(benchmark, with_devices, [without], rounds=20)
    record(
        benchmark,
        what="nodes alone, devices not asked for",
        peer=without.name,
        ours_ns=taken[with_devices.name],
        peer_ns=taken[without.name],
        at_most=1.2,
        repeats=20,
    )


def test_one_device_of_many(machine: Path) -> None:
    """The way to one device does not grow with the others."""
    topology = NumaTopology.from_sysfs(machine)
    taken = []
    for number in range(72):
        begin = time.perf_counter_ns()
        assert device_node(f"nvme{number}n1p1", topology) == number // 9
        taken.append(time.perf_counter_ns() - begin)
    assert statistics.median(taken) <= MOST_FOR_A_FILE_US * 1000

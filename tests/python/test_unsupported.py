"""The package as other operating systems get it: it imports, allocates and says what it lacks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import numapool

MODULE_FOLDER = Path(__file__).parents[2] / "build" / "module" / "csrc" / "bindings" / "unsupported"

PROGRAM = """
import json, os, warnings
import numapool

def error_of(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except Exception as error:
        return [type(error).__name__, str(error)]

allocator = numapool.NumaAllocator()
topology = allocator.topology
balloon = numapool.BalloonDriver()
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    array = numapool.full(1 << 19, 2.0)
    with allocator.allocate(4 << 20) as buffer:
        placement = buffer.placement()
        report = {
            "step": buffer.step.name,
            "bound": buffer.bound,
            "node_id": buffer.node_id,
            "bytes_by_node": dict(placement.bytes_by_node),
            "method": placement.method,
            "migrate": error_of(buffer.migrate, 0),
        }
from numapool.bench import BenchOptions, run as measure
measured = measure(
    BenchOptions(quick=True, size_bytes=1 << 20, sections=("latency", "bandwidth", "pages"))
)
print(json.dumps(report | {
    "module": numapool._core.__file__,
    "nodes": [node.node_id for node in topology.nodes],
    "cpus": len(topology.nodes[0].cpu_cores),
    "os_cpus": os.cpu_count(),
    "memory": topology.nodes[0].total_memory_bytes,
    "is_numa": topology.multi_node,
    "numa_aware": allocator.numa_aware,
    "sum": float(array.sum()),
    "warnings": [[type(w.message).__name__, str(w.message)] for w in seen],
    "strict": error_of(allocator.allocate, 1 << 20, 0, strict=True),
    "huge": error_of(allocator.allocate, 1 << 20, page_size=2 << 20),
    "lock": error_of(allocator.allocate, 1 << 20, mlock=True),
    "absurd": error_of(allocator.allocate, 1 << 62),
    "missing": error_of(allocator.allocate, 1 << 20, 7),
    "devices": topology.devices,
    "local_devices": topology.nodes[0].local_devices,
    "device_node": allocator.device_node("/"),
    "device_reason": numapool.device_locality("/").reason,
    "near": allocator.allocate_near("/", 1 << 20).nbytes,
    "read": error_of(numapool.read_into, "/", bytearray(1)),
    "write": error_of(numapool.write_from, "/nowhere/else", b"x"),
    "stream": error_of(numapool.stream, "/"),
    "free": error_of(topology.nodes[0].free_memory_bytes),
    "tree": error_of(numapool.NumaTopology.from_sysfs, "/nowhere"),
    "capabilities": [one.to_dict() for one in numapool.capabilities()],
    "balloon": [balloon.available, balloon.driver, balloon.reason, list(balloon.features)],
    "released": balloon.report_memory_released(1 << 20).to_dict(),
    "compact": error_of(balloon.report_memory_released, 1, compact=True),
    "hypervisor": numapool.detect_hypervisor(cpuid_signatures=["VMwareVMware"]).kind,
    "bind_process": error_of(numapool.bind_process, 0),
    "bench": measured.to_dict(),
}))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    modules = list(MODULE_FOLDER.glob("_core.*.so"))
    assert modules, f"{MODULE_FOLDER} holds no module: make build/stamps/unsupported"
    root = tmp_path_factory.mktemp("unsupported")
    shutil.copytree(
        Path(numapool.__file__).parent,
        root / "numapool",
        ignore=shutil.ignore_patterns("_core.*.so", "__pycache__"),
    )
    shutil.copy(modules[0], root / "numapool")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["module"].startswith(str(root))
    return report


def test_it_links_no_libnuma(report: dict[str, Any]) -> None:
    linked = subprocess.run(["ldd", report["module"]], capture_output=True, text=True, check=True)
    assert "libc." in linked.stdout
    assert "numa" not in linked.stdout.replace("numapool", "")


def test_the_machine_is_one_node(report: dict[str, Any]) -> None:
    assert report["nodes"] == [0]
    assert report["cpus"] <= report["os_cpus"]
    assert report["memory"] > 64 << 20
    assert not report["is_numa"]
    assert not report["numa_aware"]


def test_memory_is_handed_out_unbound_and_nothing_is_claimed_of_its_place(
    report: dict[str, Any],
) -> None:
    assert report["sum"] == 2.0 * (1 << 19)
    assert report["step"] == "UNBOUND"
    assert not report["bound"]
    assert report["node_id"] is None
    assert report["bytes_by_node"] == {}
    assert report["method"] == "unknown"


def test_it_warns_once(report: dict[str, Any]) -> None:
    ((name, text),) = report["warnings"]
    assert name == "PlacementWarning"
    assert "not supported on this platform" in text


_UNSUPPORTED = ("strict", "migrate", "huge", "lock", "free", "tree", "read", "write", "stream")


@pytest.mark.parametrize("what", _UNSUPPORTED)
def test_what_it_cannot_do_is_unsupported(report: dict[str, Any], what: str) -> None:
    assert report[what] is not None
    name, text = report[what]
    assert name == "UnsupportedError", text


def test_devices_are_unknown(report: dict[str, Any]) -> None:
    assert report["devices"] == report["local_devices"] == []
    assert report["device_node"] is None
    assert "not supported on this platform" in report["device_reason"]
    assert report["near"] == 1 << 20


def test_wrong_requests_are_refused_as_anywhere(report: dict[str, Any]) -> None:
    assert report["absurd"][0] == "MemoryError"
    assert report["missing"][0] == "NodeNotFoundError"


def test_it_says_what_it_cannot_do(report: dict[str, Any]) -> None:
    found = {one["name"]: one for one in report["capabilities"]}
    for name in ("bind", "verify", "migrate", "thread memory", "weighted interleave"):
        assert found[name]["available"] is False, found[name]
        assert "not supported on this platform" in found[name]["detail"], found[name]
        assert found[name]["remedy"] or name == "weighted interleave"
    assert not any(one["detail"].startswith("could not") for one in found.values())
    assert report["bind_process"][0] == "UnsupportedError"
    assert "cannot choose the CPUs of a thread here" in report["bind_process"][1]


def test_there_is_no_balloon_and_it_says_why(report: dict[str, Any]) -> None:
    why = "balloon devices are looked for on Linux alone"
    assert report["balloon"] == [False, None, why, []]
    assert report["released"]["returned_bytes"] is None
    assert report["released"]["mechanism"] is None
    assert why in report["released"]["host_sees"]
    kind, message = report["compact"]
    assert kind == "UnsupportedError"
    assert "cannot compact memory" in message
    assert report["hypervisor"] == "vmware"


def test_it_is_measured_and_no_figure_is_called_verified(report: dict[str, Any]) -> None:
    bench = report["bench"]
    cells = [cell for matrix in bench["matrices"] for cell in matrix["cells"]]
    assert len(cells) == 6  # latency and five kinds of streams
    assert all(cell["figure"]["median"] > 0 for cell in cells)
    assert not any(cell["verified"] or cell["stayed"] for cell in cells)
    assert {cell["method"] for cell in cells} == {"unknown"}
    assert not bench["pages"][0]["verified"]
    assert {"threads", "placement"} <= {warning["kind"] for warning in bench["warnings"]}

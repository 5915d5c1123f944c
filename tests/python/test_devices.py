"""The calls for device locality: what they take, what they return, and memory near a device."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support import child, device_trees

import numapool as nump
from numapool import NumaAllocator, NumaTopology


@pytest.fixture
def volumes(tmp_path: Path) -> NumaTopology:
    return device_trees.write(tmp_path / "tree", "volumes")


CALLS: list[Callable[..., object]] = [
    nump.device_node,
    nump.device_locality,
    lambda path: NumaAllocator().device_node(path),
    lambda path: NumaAllocator().device_locality(path),
    lambda path: NumaAllocator().allocate_near(path, 4096),
]


@pytest.mark.parametrize("call", CALLS)
def test_what_does_not_exist(call: Callable[..., object]) -> None:
    for path in ("/no/such/file", "nosuchname", "0000:ff:1f.7", Path("no/such"), "", "/dev/nope"):
        with pytest.raises(FileNotFoundError):
            call(path)
    with pytest.raises(NotADirectoryError):
        call("/etc/passwd/x")
    with pytest.raises(OSError, match="too long"):
        call("x/" * 5000)
    with pytest.raises(ValueError, match="null character"):
        call("/tmp\0")
    wrongs: tuple[object, ...] = (None, 1, b"/tmp", [], 1.5)
    for wrong in wrongs:
        with pytest.raises(TypeError):
            call(wrong)


def test_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "a file \udcff"
    file.touch()
    allocator = NumaAllocator()
    for path in (tmp_path, str(tmp_path), file, "/", "/dev/null", "/proc", "lo"):
        locality = nump.device_locality(path)
        assert locality == allocator.device_locality(path)
        assert locality.path == os.fspath(path)
        assert nump.device_node(path) == allocator.device_node(path) == locality.node_id
        assert json.loads(json.dumps(locality.to_dict())) == locality.to_dict()
        assert locality.path in repr(locality) or "udcff" in repr(locality)


def test_disks_and_interfaces_of_this_machine() -> None:
    """Beside what the real path in sysfs says."""
    topology = NumaTopology.detect()
    for folder in (*Path("/sys/class/block").iterdir(), *Path("/sys/class/net").iterdir()):
        real = folder.resolve()
        if "/virtual/" in str(real) or (real / "partition").exists() or not real.is_dir():
            continue
        locality = nump.device_locality(folder.name)
        told = [place / "numa_node" for place in real.parents if (place / "numa_node").exists()]
        node = int(told[0].read_text()) if told else -1
        assert locality.node_id == (node if node >= 0 else None)
        assert [leg.name for leg in locality.legs] == [folder.name]
        assert folder.name in {device.name for device in topology.devices}
        if (real / "dev").exists():
            assert nump.device_node(f"/sys/dev/block/{(real / 'dev').read_text().strip()}") == (
                locality.node_id
            )


def test_a_name_is_a_file_before_it_is_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert [step.kind for step in nump.device_locality("lo").steps] == ["net"]
    Path("lo").touch()
    assert nump.device_locality("lo").steps[0].kind == "file"
    Path("lo").unlink()
    Path("lo").mkdir()
    assert nump.device_locality("lo").steps[0].kind == "folder"
    Path("lo").rmdir()
    Path("lo").symlink_to("gone")
    assert nump.device_locality("lo").steps[0].kind == "net"


def test_folders_that_may_not_be_searched(tmp_path: Path) -> None:
    """As another user, for root may search them all."""
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "file").touch()
    folder.chmod(0)
    code = (
        "import os, sys\n"
        "from numapool import device_node\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: device_node(sys.argv[1])\n"
        "except PermissionError as error: print(error)\n"
    )
    if os.geteuid() == 0:
        os.chmod(tmp_path, 0o755)  # noqa: PTH101
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder / "file")], capture_output=True, text=True
        )
        assert "Permission denied" in done.stdout, done.stderr
    else:
        with pytest.raises(PermissionError):
            nump.device_node(folder / "file")
    folder.chmod(0o700)


def test_the_answers_are_values(volumes: NumaTopology) -> None:
    first, second = (nump.device_locality("dm-0", volumes) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first != nump.device_locality("dm-2", volumes)
    for one in (first, first.legs[0], first.steps[0]):
        assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.node_id = 7  # type: ignore[misc]
    assert repr(first) == ("<DeviceLocality 'dm-0': node_id=0, legs=(nvme0n1 on 0, nvme1n1 on 1)>")
    assert "legs=(), reason='loop1 has no file'" in repr(nump.device_locality("loop1", volumes))
    leg = first.legs[1]
    assert leg.to_dict() == {
        "name": "nvme1n1",
        "kind": "nvme",
        "node_id": 1,
        "pci_address": "0000:80:01.0",
        "evidence": f"{volumes._root}/sys/devices/pci0000:80/0000:80:01.0/numa_node",
    }


def test_local_devices_are_read_late_once_and_with_all_nodes(volumes: NumaTopology) -> None:
    root = Path(volumes._root)
    node = root / "sys/devices/pci0000:80/0000:80:02.0/numa_node"
    node.write_text("0\n")  # after the topology was read
    assert "nvme2n1" in {one.name for one in volumes.node(0).local_devices}
    node.write_text("1\n")
    assert "nvme2n1" not in {one.name for one in volumes.node(1).local_devices}
    assert volumes.devices is volumes.devices
    assert nump.device_node("nvme2n1", volumes) == 1  # what is asked for by name is read now
    again = NumaTopology.from_sysfs(root)
    assert again == volumes
    assert hash(again) == hash(volumes)
    assert "nvme2n1" in {one.name for one in again.node(1).local_devices}


def test_nodes_are_copied_with_their_devices(volumes: NumaTopology) -> None:
    node = volumes.node(1)
    for twin in (copy.deepcopy(node), pickle.loads(pickle.dumps(node))):
        assert twin == node
        assert twin.local_devices == node.local_devices != ()
    made = nump.NumaNode(node_id=1, total_memory_bytes=0, cpu_cores=())
    assert made.local_devices == ()


def test_a_machine_that_has_gone(tmp_path: Path) -> None:
    topology = device_trees.write(tmp_path / "tree", "disks")
    (tmp_path / "tree").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="tree"):
        _ = topology.devices
    with pytest.raises(FileNotFoundError, match="tree"):
        nump.device_node("sda", topology)


def test_memory_near_a_device(volumes: NumaTopology) -> None:
    """On nodes of a machine that is not this one only node 0 can be named."""
    allocator = NumaAllocator(volumes)
    with allocator.allocate_near("nvme0n1", 1 << 20) as buffer:
        assert buffer.requested_node == 0
        assert buffer.nbytes == 1 << 20
    with pytest.raises(ValueError, match="at least 1"):
        allocator.allocate_near("nvme0n1", 0)
    with pytest.raises(ValueError, match="page_size"):
        allocator.allocate_near("nvme0n1", 4096, page_size="huge")  # type: ignore[arg-type]


def test_memory_near_what_is_unknown(tmp_path: Path) -> None:
    allocator = NumaAllocator(device_trees.write(tmp_path, "virtual_machine"))
    with pytest.raises(nump.PlacementError, match=r"which node 'vda' is on: .* says -1"):
        allocator.allocate_near("vda", 4096, strict=True)
    code = (
        "import sys, warnings, numapool\n"
        "allocator = numapool.NumaAllocator(numapool.NumaTopology.from_sysfs(sys.argv[1]))\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    for _ in range(3): allocator.allocate_near('vda', 4096).close()\n"
        "    allocator.allocate_near('eth0', 4096).close()\n"
        "assert [w.category.__name__ for w in seen] == ['PlacementWarning'], seen\n"
        "print(seen[0].message, seen[0].filename)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "cannot tell which node 'vda' is on" in done.stdout
    assert done.stdout.strip().endswith("<string>")  # the caller's line


def test_on_one_node_nothing_is_lost(tmp_path: Path) -> None:
    """Where there is one node, everything is as near to it as can be."""
    allocator = NumaAllocator()
    if allocator.topology.multi_node:
        pytest.skip("this machine has several nodes")
    with allocator.allocate_near(tmp_path, 1 << 20) as buffer:
        assert buffer.nbytes == 1 << 20


def test_a_node_that_has_come_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An allocator of the running machine looks at it anew; one of a given machine does not."""
    new = device_trees.write(tmp_path, "disks")
    folder = tmp_path / "sys/devices/system/node"
    (folder / "online").write_text("0\n")
    (folder / "node0/distance").write_text("10\n")
    old = NumaTopology.from_sysfs(tmp_path)
    allocator = NumaAllocator(old)
    locality = allocator.device_locality("nvme0n1")
    assert locality.node_id is None
    assert "node 1 is not online" in str(locality.reason)

    allocator = NumaAllocator()
    monkeypatch.setattr("numapool.memory.allocator.current_topology", lambda: old)
    monkeypatch.setattr("numapool._core.renewed_topology", lambda: new._core)
    assert allocator.topology is old
    assert allocator.device_node("sda") == 0
    assert allocator.device_node("nvme0n1") == 1


def test_many_threads(volumes: NumaTopology) -> None:
    expected = {name: nump.device_locality(name, volumes) for name in ("dm-0", "md0", "loop0")}
    wrong: list[object] = []

    def ask() -> None:
        for _ in range(50):
            for name, locality in expected.items():
                if nump.device_locality(name, volumes) != locality:
                    wrong.append(name)
            nump.device_node("/")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_no_files_are_left_open(volumes: NumaTopology) -> None:
    # In a process of its own: threads that other tests left behind open files too.
    code = f"""
        import contextlib, os
        import numapool as nump

        volumes = nump.NumaTopology.from_sysfs({str(volumes._root)!r})
        before = os.listdir("/proc/self/fd")
        for _ in range(20):
            nump.device_locality("dm-0", volumes)
            nump.device_node("/")
            nump.NumaTopology.from_sysfs(volumes._root).devices
            with contextlib.suppress(OSError):
                nump.device_node("/no/such")
                print("no error")
        assert os.listdir("/proc/self/fd") == before, (os.listdir("/proc/self/fd"), before)
        """
    assert child.check(code) == ""

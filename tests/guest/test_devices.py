"""Device locality on real kernels: each answer beside the description, sysfs and lspci."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

import numapool as nump

from .devices import ADAPTERS, DISKS, SHARED, Adapter, Disk
from .support import volumes
from .support.modules import load_module
from .support.volumes import run

pytestmark = pytest.mark.machine("devices", "devices_612")

_MODULES = (
    *("nvme", "virtio_blk", "virtio_scsi", "sd_mod", "virtio_net", "e1000e"),
    *("dm_mod", "loop", "ext4", "btrfs", "bonding", "8021q", "bridge", "veth"),
)
_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What stands on the disks, by its kernel name or its path."""

    partition: str
    volume: str
    folder: Path
    file: Path
    loop: str


@pytest.fixture(scope="module")
def disks() -> dict[str, str]:
    """The kernel's names of all disks, by serial."""
    for module in _MODULES:
        load_module(module)
    wanted = {disk.serial for disk in DISKS} | {SHARED}
    volumes.wait_for(lambda: wanted <= set(volumes.disks_by_serial()), f"disks {wanted}")
    return volumes.disks_by_serial()


@pytest.fixture(scope="module")
def stack(disks: dict[str, str]) -> Stack:
    """A partition, a volume over it and a disk of the other node, a file, a loop on the file."""
    partition = volumes.make_partition(disks["flash1"])
    volume = volumes.make_linear("both", partition, disks["flash0"])
    run("mkfs.ext4", "-q", f"/dev/{volume}")
    folder = volumes.mount(f"/dev/{volume}", "/run/volume", "ext4")
    file = folder / "folder with blanks" / "disk.img"
    file.parent.mkdir()
    file.write_bytes(bytes(8 * _MIB))
    loop = run("losetup", "--show", "--find", str(file)).strip().removeprefix("/dev/")
    return Stack(partition=partition, volume=volume, folder=folder, file=file, loop=loop)


@pytest.fixture(scope="module")
def interfaces(disks: dict[str, str]) -> dict[str, str]:
    """The kernel's names of the network adapters, by address."""
    return volumes.interfaces_by_mac()


def sysfs_node(address: str) -> int | None:
    told = int(Path(f"/sys/bus/pci/devices/{address}/numa_node").read_text())
    return None if told < 0 else told


def lspci_node(address: str) -> int | None:
    """Ask lspci, which leaves the line out where no node is told."""
    for line in run("lspci", "-Dvmms", address).splitlines():
        if line.startswith("NUMANode:"):
            return int(line.split()[1])
    return None


def address_of(name: str) -> str:
    """The last PCI function on the real path of a block device or an interface."""
    for folder in ("block", "net"):
        place = Path(f"/sys/class/{folder}/{name}")
        if place.exists():
            parts = os.path.realpath(place).split("/")
            return [part for part in parts if part.count(":") == 2 and "." in part][-1]
    raise AssertionError(f"there is no {name}")


def check(locality: nump.DeviceLocality, expected: dict[str, int | None]) -> None:
    """Check the legs: their nodes by description, by sysfs and by lspci."""
    assert {leg.name: leg.node_id for leg in locality.legs} == expected
    assert len(locality.legs) == len(expected)
    for leg in locality.legs:
        assert leg.pci_address == address_of(leg.name)
        assert leg.evidence == f"/sys/devices{_function_path(leg.pci_address)}/numa_node"
        if leg.node_id is not None:
            assert leg.node_id == sysfs_node(leg.pci_address) == lspci_node(leg.pci_address)
    nodes = sorted({node for node in expected.values() if node is not None})
    assert list(locality.node_ids) == nodes
    if len(nodes) == 1:
        assert locality.node_id == nodes[0]
    assert (locality.node_id is None) == (not nodes)
    assert (locality.reason is None) == (None not in expected.values() and bool(expected))


def _function_path(address: str) -> str:
    return os.path.realpath(f"/sys/bus/pci/devices/{address}").removeprefix("/sys/devices")


@pytest.mark.parametrize("disk", DISKS, ids=lambda disk: disk.serial)
def test_disks(disk: Disk, disks: dict[str, str]) -> None:
    name = disks[disk.serial]
    for path in (name, f"/dev/{name}", f"/sys/block/{name}", f"/sys/class/block/{name}/queue"):
        check(nump.device_locality(path), {name: disk.node_id})
        assert nump.device_node(path) == disk.node_id


def test_a_disk_on_the_root_bus_is_on_no_node(disks: dict[str, str]) -> None:
    """Some kernels before 6.6 say 0 of such an NVMe disk, for the driver made that up."""
    name = disks["rootbus"]
    told = sysfs_node(address_of(name))
    assert told in (0, None)
    locality = nump.device_locality(name)
    assert locality.node_id is None
    assert ("nvme driver" if told == 0 else "says -1") in str(locality.reason)


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.mac)
def test_network_adapters(adapter: Adapter, interfaces: dict[str, str]) -> None:
    name = interfaces[adapter.mac]
    check(nump.device_locality(name), {name: adapter.node_id})
    check(nump.device_locality(f"/sys/class/net/{name}"), {name: adapter.node_id})


def test_pci_functions(disks: dict[str, str]) -> None:
    for folder in Path("/sys/bus/pci/devices").iterdir():
        node = sysfs_node(folder.name)
        if (folder / "driver").exists() and (folder / "driver").resolve().name == "nvme":
            continue  # the driver may have made it up
        assert nump.device_node(folder.name) == node == lspci_node(folder.name)
        assert nump.device_node(folder.name.removeprefix("0000:")) == node


def test_partition(stack: Stack, disks: dict[str, str]) -> None:
    for path in (stack.partition, f"/dev/{stack.partition}"):
        locality = nump.device_locality(path)
        check(locality, {disks["flash1"]: 1})
        kinds = [step.kind for step in locality.steps if step.kind != "device file"]
        assert kinds == ["partition", "nvme", "PCI"]


def test_volume_over_both_nodes(stack: Stack, disks: dict[str, str]) -> None:
    legs: dict[str, int | None] = {disks["flash0"]: 0, disks["flash1"]: 1}
    for path in (stack.volume, f"/dev/{stack.volume}", "/dev/mapper/both"):
        check(nump.device_locality(path), legs)
        assert nump.device_node(path) == 0  # as near to both, and the lower one


def test_file_folder_and_loop_on_it(stack: Stack, disks: dict[str, str]) -> None:
    legs: dict[str, int | None] = {disks["flash0"]: 0, disks["flash1"]: 1}
    for path in (stack.folder, stack.file, stack.file.parent, f"/dev/{stack.loop}"):
        check(nump.device_locality(path), legs)
    kinds = [step.kind for step in nump.device_locality(stack.loop).steps]
    assert kinds[:3] == ["loop", "file", "device-mapper"]
    assert sorted(kinds[3:]) == ["PCI", "PCI", "nvme", "nvme", "partition"]


def test_file_by_a_relative_path_and_by_a_link(
    stack: Stack, disks: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stack.file.parent)
    link = Path("/tmp/link to a disk")
    link.symlink_to(stack.file)
    for path in ("disk.img", "./disk.img", "..", link):
        assert nump.device_locality(path).node_ids == (0, 1)
    Path("lo").touch()  # what exists as a file is no interface
    assert nump.device_locality("lo").node_ids == (0, 1)


def test_disk_with_two_paths(disks: dict[str, str]) -> None:
    head = disks[SHARED]
    paths = sorted(path.name for path in Path("/sys/block").glob(f"{head[:5]}c*{head[5:]}"))
    assert len(paths) == 2
    locality = nump.device_locality(f"/dev/{head}")
    check(locality, {path: sysfs_node(address_of(path)) for path in paths})
    assert locality.node_ids == (0, 1)


def test_btrfs_over_two_disks(disks: dict[str, str]) -> None:
    names = [disks["spare0"], disks["virtio1"]]
    run("mkfs.btrfs", "-q", *(f"/dev/{name}" for name in names))
    folder = volumes.mount(f"/dev/{names[1]}", "/run/btrfs", "btrfs", f"device=/dev/{names[0]}")
    (folder / "file").touch()
    run("btrfs", "subvolume", "create", str(folder / "sub"))
    for path in (folder, folder / "file", folder / "sub"):
        check(nump.device_locality(path), {names[0]: 0, names[1]: 1})


def test_bind_mounts_and_overlays(stack: Stack, disks: dict[str, str]) -> None:
    scsi = disks["scsi1"]
    run("mkfs.ext4", "-q", f"/dev/{scsi}")
    lower = volumes.mount(f"/dev/{scsi}", "/run/lower", "ext4")
    for name in ("below", "both"):
        (lower / name).write_text("lower")
    for name in ("upper: one", "work"):
        (stack.folder / name).mkdir()
    upper, work = (str(stack.folder / name).replace(":", "\\:") for name in ("upper: one", "work"))
    over = volumes.mount(
        "overlay", "/run/over lay", "overlay", f"lowerdir={lower},upperdir={upper},workdir={work}"
    )
    (over / "above").write_text("upper")
    (over / "both").write_text("copied up")
    volume: dict[str, int | None] = {disks["flash0"]: 0, disks["flash1"]: 1}
    check(nump.device_locality(over / "below"), {scsi: 1})
    check(nump.device_locality(over / "above"), volume)
    check(nump.device_locality(over / "both"), volume)
    check(nump.device_locality(over), volume | {scsi: 1})
    Path("/run/bound").mkdir()
    run("mount", "--bind", str(lower), "/run/bound")
    check(nump.device_locality("/run/bound/below"), {scsi: 1})


def test_memory(disks: dict[str, str]) -> None:
    policies = {"bind:1": 1, "prefer:0": 0, "local": None, "interleave:0-1": 0}
    for number, (policy, node) in enumerate(policies.items()):
        folder = volumes.mount("tmpfs", f"/run/memory{number}", "tmpfs", f"size=1m,mpol={policy}")
        (folder / "file").touch()
        locality = nump.device_locality(folder / "file")
        assert locality.node_id == node, policy
        assert {leg.kind for leg in locality.legs} <= {"memory"}
        assert locality.node_ids == ((0, 1) if "-" in policy else () if node is None else (node,))


def test_interfaces_on_interfaces(interfaces: dict[str, str]) -> None:
    first, second = interfaces[ADAPTERS[0].mac], interfaces[ADAPTERS[1].mac]
    both: dict[str, int | None] = {first: 1, second: 0}
    run("ip", "link", "add", "bond7", "type", "bond")
    for name in both:
        run("ip", "link", "set", name, "down")
        run("ip", "link", "set", name, "master", "bond7")
    run("ip", "link", "add", "link", "bond7", "name", "bond7.9", "type", "vlan", "id", "9")
    run("ip", "link", "add", "bridge7", "type", "bridge")
    run("ip", "link", "set", "bond7.9", "master", "bridge7")
    run("ip", "link", "add", "left", "type", "veth", "peer", "name", "right")
    run("ip", "link", "set", "right", "master", "bridge7")
    for name in ("bond7", "bond7.9", "bridge7", "left", "right"):
        check(nump.device_locality(name), both)
    run("ip", "link", "set", "right", "nomaster")
    for name in ("left", "right", "lo"):
        assert nump.device_locality(name).legs == ()
        assert nump.device_node(name) is None


def test_local_devices(disks: dict[str, str], interfaces: dict[str, str]) -> None:
    topology = nump.NumaTopology.detect()
    expected: dict[int | None, set[str]] = {0: {disks[SHARED]}, 1: {disks[SHARED]}, None: set()}
    for disk in DISKS:
        expected[disk.node_id].add(disks[disk.serial])
    for adapter in ADAPTERS:
        expected[adapter.node_id].add(interfaces[adapter.mac])
    found: dict[int | None, set[str]] = {0: set(), 1: set(), None: set()}
    for device in topology.devices:
        found[device.node_id].add(device.name)
    assert found == expected
    for node in topology.nodes:
        assert {device.name for device in node.local_devices} == expected[node.node_id]
        assert all(device.node_id == node.node_id for device in node.local_devices)


def test_allocate_near(stack: Stack, disks: dict[str, str]) -> None:
    allocator = nump.NumaAllocator()
    for name, node in ((disks["virtio1"], 1), (disks["flash0"], 0), (stack.file, 0)):
        with allocator.allocate_near(name, 4 * _MIB, strict=True) as buffer:
            assert buffer.node_id == buffer.requested_node == node
            assert buffer.placement().bytes_by_node == {node: 4 * _MIB}
    with pytest.raises(nump.PlacementError, match="cannot tell which node"):
        allocator.allocate_near(disks["virtio-rootbus"], _MIB, strict=True)
    with (
        pytest.warns(nump.PlacementWarning, match="cannot tell which node .* is on: .* says -1"),
        allocator.allocate_near(disks["virtio-rootbus"], _MIB) as buffer,
    ):
        assert buffer.nbytes == _MIB

"""Devices of machines that are not at hand: what is found in each, and that nothing breaks it."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from support import device_trees, sysfs_tree
from support.device_trees import found

import numapool as nump
from numapool import DeviceLocality, NumaTopology, device_locality, device_node


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NumaTopology]:
    return {
        name: device_trees.write(tmp_path_factory.mktemp(name), name)
        for name in device_trees.names()
    }


@pytest.mark.parametrize(("tree", "path", "what"), device_trees.expected())
def test_what_is_found(tree: str, path: str, what: str, machines: dict[str, NumaTopology]) -> None:
    topology = machines[tree]
    assert found(path, topology) == what
    if what != "no such":
        check(device_locality(path, topology), topology)


def check(locality: DeviceLocality, topology: NumaTopology) -> None:
    """Check what holds for every locality."""
    known = [leg.node_id for leg in locality.legs if leg.node_id is not None]
    assert locality.node_ids == tuple(sorted(set(known)))
    assert (locality.node_id is None) == (not known)
    if len(locality.node_ids) == 1:
        assert locality.node_id == locality.node_ids[0]
    elif known:  # no usable node has a shorter way to all
        node = locality.node_id
        assert node is not None
        ways = {
            one: sum(topology.distance(leg, one) for leg in known) for one in topology.nearest(node)
        }
        assert ways[node] == min(ways.values())
    if not known or len(known) < len(locality.legs):
        assert locality.reason
    assert locality.steps
    assert locality.steps[0].depth == 0
    for before, after in zip(locality.steps, locality.steps[1:], strict=False):
        assert 0 <= after.depth <= before.depth + 1
    for leg in locality.legs:
        if leg.node_id is not None:
            assert leg.evidence is not None
            if leg.kind != "memory":
                assert Path(leg.evidence).read_text().strip() == str(leg.node_id)
        if leg.pci_address is not None:
            assert leg.evidence is None or leg.pci_address.count(":") == 2
    assert device_node(locality.path, topology) == locality.node_id


def kinds(path: str, topology: NumaTopology) -> list[str]:
    return [f"{step.depth} {step.kind}" for step in device_locality(path, topology).steps]


def test_walks_are_trees(machines: dict[str, NumaTopology]) -> None:
    volumes, mounts = machines["volumes"], machines["mounts"]
    assert kinds("/dev/vg-data/home", volumes) == [
        *("0 LVM volume", "1 crypt", "2 partition", "3 nvme", "4 PCI"),
    ]
    assert kinds("loop0", volumes) == [
        *("0 loop", "1 file", "2 LVM volume", "3 crypt", "4 partition", "5 nvme", "6 PCI"),
    ]
    assert kinds("md127", volumes) == ["0 md", "1 nvme", "2 PCI", "1 nvme", "2 PCI"]
    assert kinds("dm-3", volumes)[0] == "0 multipath"
    assert kinds("bond0.7", machines["network"]) == [
        *("0 vlan", "1 bond", "2 net", "3 PCI", "2 net", "3 PCI"),
    ]
    assert kinds("nvme0n1", machines["multipath"])[:2] == ["0 NVMe multipath", "1 nvme"]
    assert kinds("nvme5n1", machines["multipath"])[:2] == ["0 NVMe over fabrics", "1 server"]
    assert kinds("/nfs/home", mounts) == ["0 file", "1 nfs4", "2 server", "3 net", "4 PCI"]
    assert kinds("/fast1", mounts) == ["0 file", "1 tmpfs"]
    assert kinds("0000:3b:00.0", machines["adapters"]) == ["0 gpu"]
    assert kinds("82:00.0", machines["disks"]) == ["0 PCI"]
    steps = device_locality("/fast1", mounts).steps
    assert (steps[1].name, steps[1].note, steps[1].node_id) == ("/fast1", "mpol=bind:1", 1)


@pytest.mark.parametrize(
    ("tree", "path", "reason"),
    [
        ("virtual_machine", "vda", r"/0000:00:03.0/numa_node says -1: the firmware tells no node$"),
        ("virtual_machine", "nvme0n1", r"numa_node says 0, which the nvme driver fills in"),
        ("virtual_machine", "nbd0", "nbd0 is virtual, and the system does not tell"),
        ("virtual_machine", "zram0", "zram0 is memory, of no node in particular"),
        ("virtual_machine", "xvda", "nor a folder above it has a numa_node file"),
        ("volumes", "loop1", "loop1 has no file"),
        ("volumes", "dm-4", "dm-4 stands on no device"),
        ("network", "lo", "lo is virtual, with no network adapter below it"),
        ("network", "veth9", "the other end of veth9 is in another network namespace"),
        ("network", "circle0", "round in a circle"),
        ("multipath", "nvme3n1", "no path to nvme3n1 is in the tree"),
        ("multipath", "nvme8n1", r"the adapter of nvme8n1 \(fc\) cannot be told"),
        ("mounts", "/tmp", "/tmp is memory, of whichever node first touches it$"),
        ("mounts", "/local", r"first touches it \(mpol=local\)"),
        ("mounts", "/nfs-nowhere", "no route to the server of lost:/export, fd00::1"),
        ("mounts", "/docker", "the layers of the overlay on /docker are not to be seen"),
        ("mounts", "/zfs/x", "a file system of type zfs tells no device"),
        ("circles", "dm-0", "round in a circle"),
        ("circles", "dm-2", "gone is not in the tree; out is not in the tree"),
        ("circles", "sdb", r"numa_node says '4294967296', which is not a node"),
        ("circles", "sdc", r"numa_node says '-2', which is not a node"),
        ("circles", "sdd", r"numa_node says '1 or so', which is not a node"),
        ("circles", "sdf", r"node 7 is not online, which /.*/numa_node tells"),
        ("circles", "/links/a", "there are no mounts in /.*/proc/self/mountinfo"),
    ],
)
def test_why_a_node_is_unknown(
    tree: str, path: str, reason: str, machines: dict[str, NumaTopology]
) -> None:
    locality = device_locality(path, machines[tree])
    with pytest.raises(LookupError, match=reason):
        raise LookupError(locality.reason)
    if "circle" not in reason:  # where the walk ends, the step says so too
        told = str(locality.reason).split("; ")
        assert any(step.note and told[0] in step.note for step in locality.steps)


@pytest.mark.parametrize(
    ("tree", "local"),
    [
        (
            "disks",
            {
                0: "block sda",
                1: "block cciss!c0d0, nvme nvme0n1, nvme nvme7n1",
                None: "block sdq",
            },
        ),
        ("multipath", {0: "net eth0, nvme nvme0n1", 1: "net eth1, nvme nvme0n1, nvme nvme2n3"}),
        (
            "network",
            {0: "net eth0", 1: "net eth1, net eth2, net ib0", None: "net vmnet"},
        ),
        (
            "adapters",
            {
                0: "dax dax2.0, gpu card0, net eth0",
                1: "dax dax1.0, gpu 0000:af:00.0, infiniband mlx5_0, pmem pmem0",
                None: "gpu 0000:c0:00.0",
            },
        ),
        (
            "virtual_machine",
            {
                0: "nvme nvme1n1",
                1: "block sda, block vdb, net eth1",
                None: "block vda, block xvda, net eth0, nvme nvme0n1",
            },
        ),
    ],
)
def test_local_devices(
    tree: str, local: dict[int | None, str], machines: dict[str, NumaTopology]
) -> None:
    topology = machines[tree]
    for node in topology.nodes:
        devices = node.local_devices
        assert ", ".join(f"{one.kind} {one.name}" for one in devices) == local[node.node_id]
        assert {one.node_id for one in devices} <= {node.node_id}
    unknown = [one for one in topology.devices if one.node_id is None]
    assert ", ".join(f"{one.kind} {one.name}" for one in unknown) == local.get(None, "")


def test_links_do_not_lead_out_of_a_tree(tmp_path: Path) -> None:
    """A device of this machine is no device of that one, whatever its links say."""
    outside = sysfs_tree.write(tmp_path, {"outside/numa_node": "1\n", "outside/dev": "8:0\n"})
    root = tmp_path / "root"
    files = sysfs_tree.machine("two_socket") | {
        f"sys/class/block/sda -> {outside}/outside": "",
        "sys/class/block/sdb -> ../../../../outside": "",
        "sys/class/net/eth0 -> ../../../../outside": "",
        "sys/bus/pci/devices/0000:00:01.0 -> ../../../../../outside": "",
        f"dev/disk -> {outside}": "",
        "proc/self/mountinfo": "1 1 0:9 / / rw - overlay o rw,lowerdir=/../..:/disk\n",
        "disk -> ../../outside/dev": "",
    }
    topology = NumaTopology.from_sysfs(sysfs_tree.write(root, files))
    for path in ("sda", "/dev/sda", "sdb", "00:01.0"):
        assert found(path, topology) == "no such"
    for path in ("eth0", "/disk", "/../outside/x", "/dev/disk/outside"):
        locality = device_locality(path, topology)
        assert locality.node_id is None
        assert locality.legs == ()
    assert topology.devices == ()


def test_a_tree_without_mounts_or_with_others(tmp_path: Path) -> None:
    files = device_trees.files("mounts")
    del files["proc/self/mountinfo"]
    topology = NumaTopology.from_sysfs(sysfs_tree.write(tmp_path, files))
    assert device_node("/data", topology) is None
    mountinfo = tmp_path / "proc/self/mountinfo"
    for text, node in (
        ("", None),
        ("garbage\n\n1 2 3\n", None),
        ("1 1 8:1 / / rw - ext4 /dev/sda1 rw\n", 0),
        ("1 1 77:1 / / rw - ext4 /dev/nvme2n1 rw\n", 1),  # a number that sysfs does not know
        ("1 1 77:1 / / rw - ext4 /dev/gone rw\n", None),
    ):
        mountinfo.write_text(text)
        assert device_node("/data", topology) == node, text


@pytest.mark.parametrize("seed", range(60))
def test_trees_that_are_broken_at_random(seed: int, tmp_path: Path) -> None:
    """Files cut, filled with rubbish, moved; links that lead elsewhere: no crash, and no loop."""
    choice = random.Random(seed)
    name = choice.choice(device_trees.names())
    paths = [path for tree, path, _ in device_trees.expected() if tree == name]
    files: dict[str, str | bytes] = dict(device_trees.files(name))
    places = [path.split(" -> ")[0].rstrip("/") for path in files]
    for path in choice.sample(sorted(files), len(files) // 4):
        if path.startswith("sys/devices/system/node"):
            continue
        text = files.pop(path)
        place = path.split(" -> ")[0]
        other = choice.choice(places)
        match choice.randrange(5):
            case 0:
                continue  # it is missing
            case 1:
                files[f"{place} -> {os.path.relpath(other, os.path.dirname(place))}"] = ""  # noqa: PTH120
            case 2:
                files[place] = choice.randbytes(choice.randrange(200))
            case 3:
                files[place] = str(text) * 50
            case 4:
                files[f"{place} -> ../{'../' * choice.randrange(9)}{other}"] = ""
    root = tmp_path / "tree"
    for path, content in files.items():
        try:
            sysfs_tree.write(root, {path: content})
        except OSError:  # one breakage is in the way of another
            continue
    topology = NumaTopology.from_sysfs(root)
    begin = time.monotonic()
    for path in paths:
        try:
            locality = device_locality(path, topology)
        except OSError:
            continue
        assert locality.node_id in (None, 0, 1)
        assert (locality.node_id is None) <= bool(locality.reason)
        assert len(locality.steps) <= 1000
        repr(locality)
        locality.to_dict()
    for device in topology.devices:
        assert device.node_id in (None, 0, 1)
    assert time.monotonic() - begin < 20


def test_a_thousand_slaves_and_a_long_chain(tmp_path: Path) -> None:
    files = sysfs_tree.machine("two_socket")
    wide, deep = "sys/devices/virtual/block/dm-0", "sys/devices/virtual/block/deep"
    files[f"sys/class/block/dm-0 -> ../../../{wide}"] = ""
    files[f"{wide}/dm/name"] = "wide"
    for number in range(3000):
        files[f"{wide}/slaves/gone{number}"] = ""
    for number in range(200):
        files[f"sys/class/block/dm-{number + 1} -> ../../../{deep}{number}"] = ""
        files[f"{deep}{number}/dm/name"] = f"deep{number}"
        files[f"{deep}{number}/slaves/next -> ../../deep{number + 1}"] = ""
    topology = NumaTopology.from_sysfs(sysfs_tree.write(tmp_path, files))
    for name in ("dm-0", "dm-1"):
        locality = device_locality(name, topology)
        assert len(locality.steps) <= 1000
        assert "the walk was given up after" in str(locality.reason)
        assert locality.node_id is None


def test_volumes_that_share_disks_are_walked_once(tmp_path: Path) -> None:
    """Layers upon layers over the same two volumes each: two to the fiftieth ways to one disk."""
    files = sysfs_tree.machine("two_socket")
    layer = "sys/devices/virtual/block/dm-{0}{1}"
    for depth in range(50):
        for side in "ab":
            own = layer.format(depth, side)
            files[f"sys/class/block/dm-{depth}{side} -> ../../../{own}"] = ""
            files[f"{own}/dm/name"] = f"{depth}{side}"
            for other in "ab":
                target = (
                    f"dm-{depth + 1}{other}" if depth < 49 else "../../pci0000:00/0000:00:01.0/sda"
                )
                files[f"{own}/slaves/{other} -> ../../{target}"] = ""
    files["sys/devices/pci0000:00/0000:00:01.0/numa_node"] = "1\n"
    files["sys/devices/pci0000:00/0000:00:01.0/sda/dev"] = "8:0\n"
    topology = NumaTopology.from_sysfs(sysfs_tree.write(tmp_path, files))
    locality = device_locality("dm-0a", topology)
    assert [leg.name for leg in locality.legs] == ["sda"]
    assert locality.node_id == 1
    assert locality.reason is None


def test_one_node_or_none(tmp_path: Path) -> None:
    """A machine without node folders is node 0, and a device that says 0 is on it."""
    files = sysfs_tree.machine("no_node_folder") | {
        "sys/devices/pci0000:00/0000:00:01.0/numa_node": "0\n",
        "sys/devices/pci0000:00/0000:00:01.0/net/eth0/ifindex": "2\n",
        "sys/class/net/eth0 -> ../../devices/pci0000:00/0000:00:01.0/net/eth0": "",
    }
    topology = NumaTopology.from_sysfs(sysfs_tree.write(tmp_path, files))
    assert [one.name for one in topology.node(0).local_devices] == ["eth0"]
    assert nump.NumaAllocator(topology).device_node("eth0") == 0
    node = tmp_path / "sys/devices/pci0000:00/0000:00:01.0/numa_node"
    node.write_text("-1\n")
    assert device_node("eth0", topology) is None

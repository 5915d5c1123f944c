"""``numapool capture``: what is recorded is read as the machine itself, and identifies nobody."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from support import device_trees, sysfs_tree

from numapool import Device, NumaTopology, UnsupportedError
from numapool.cli.capture import write
from numapool.cli.options import machine_of

MODULE = [sys.executable, "-m", "numapool"]


def is_left_out(path: str, what: str, found: str) -> bool:
    """Whether a path is found by what is not recorded: names of disks, addresses of hosts."""
    return path.startswith("/dev/disk/") or (found == "unknown =" and "eth" in what)


def captured(machine: NumaTopology, folder: Path) -> NumaTopology:
    file = folder / "machine.tar.gz"
    write(file, machine._root)
    return machine_of(file)


def devices(machine: NumaTopology) -> list[Device]:
    """All devices, with the evidence as a path below the machine's root."""
    root = machine._root.rstrip("/")
    return [
        replace(one, evidence=one.evidence and one.evidence.removeprefix(root))
        for one in machine.devices
    ]


@pytest.mark.parametrize("name", sysfs_tree.names())
def test_a_recorded_machine_has_the_same_nodes(name: str, tmp_path: Path) -> None:
    root = sysfs_tree.write(tmp_path / "root", sysfs_tree.machine(name))
    machine = NumaTopology.from_sysfs(root)
    again = captured(machine, tmp_path)
    assert again == machine
    assert sysfs_tree.describe(again) == sysfs_tree.expected(name)


@pytest.mark.parametrize("name", device_trees.names())
def test_a_recorded_machine_has_the_same_devices(name: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    machine = device_trees.write(root, name)
    again = captured(machine, tmp_path)
    asked = [(path, what) for tree, path, what in device_trees.expected() if tree == name]
    for path, what in asked:
        found = device_trees.found(path, again)
        assert found == what or is_left_out(path, what, found), path
    assert devices(again) == devices(machine)


SECRETS = {
    "sys/devices/pci0000:00/0000:00:03.0/serial_number": "SECRET",
    "sys/devices/pci0000:00/0000:00:03.0/vpd": "SECRET",
    "sys/devices/pci0000:00/0000:00:03.0/net/eth0/address": "SE:CR:ET",
    "sys/devices/pci0000:00/0000:00:03.0/nvme/nvme0/serial": "SECRET",
    "sys/devices/pci0000:00/0000:00:03.0/nvme/nvme0/subsysnqn": "nqn.SECRET",
    "sys/devices/pci0000:00/0000:00:03.0/nvme/nvme0/nvme0n1/wwid": "SECRET",
    "sys/devices/pci0000:00/0000:00:03.0/nvme/nvme0/nvme0n1/uevent": "WWN=SECRET\nDEVTYPE=disk\n",
    "sys/devices/virtual/block/dm-0/dm/uuid": "mpath-SECRET\n",
    "sys/devices/virtual/dmi/id/product_uuid": "SECRET",
    "sys/devices/virtual/dmi/id/product_name": "Server 7",
    "proc/cpuinfo": "processor\t: 0\nSerial\t\t: SECRET\nmodel name\t: x\n",
    "proc/self/status": "Name:\tSECRET\nMems_allowed_list:\t0\n",
    "proc/self/mountinfo": "1 1 0:5 / /home rw - nfs SECRET:/home rw\n"
    "2 1 8:1 / / rw - ext4 /dev/sda1 rw\n3 1 0:6 / /x rw - cifs //SECRET/x rw\n",
    "proc/sys/kernel/hostname": "SECRET",
}


def test_nothing_that_identifies_a_machine_is_recorded(tmp_path: Path) -> None:
    sysfs_tree.write(tmp_path / "root", SECRETS)
    write(tmp_path / "file", str(tmp_path / "root"))
    with tarfile.open(tmp_path / "file") as archive:
        files = {
            member.name: opened.read().decode()
            for member in archive
            if (opened := archive.extractfile(member)) is not None
        }
    assert not [name for name, text in files.items() if "SE" in text]
    assert files["sys/devices/virtual/dmi/id/product_name"] == "Server 7"
    assert files["sys/devices/virtual/block/dm-0/dm/uuid"] == "mpath-\n"
    assert files["proc/self/mountinfo"].splitlines() == [
        "1 1 0:5 / /home rw - nfs host:/ rw",
        "2 1 8:1 / / rw - ext4 /dev/sda1 rw",
        "3 1 0:6 / /x rw - cifs host:/ rw",
    ]
    assert any(text == "DEVTYPE=disk\n" for text in files.values())


def test_the_command_records_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "machine.tar.gz"
    done = subprocess.run([*MODULE, "capture", str(file)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{file}: ")
    here = NumaTopology.detect()
    found = machine_of(file)
    assert found == here
    assert devices(found) == devices(here)
    for command in (["info"], ["topo"], ["device", "lo"]):
        shown = subprocess.run(
            [*MODULE, *command, "--sysfs", str(file)], capture_output=True, text=True
        )
        assert (shown.returncode, shown.stderr) == (0, "")


def test_a_system_without_sysfs_has_nothing_to_record(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="needs Linux"):
        write(tmp_path / "file", str(tmp_path))
    assert not (tmp_path / "file").exists()


def test_a_file_that_is_no_archive_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no archive")
    with pytest.raises(OSError, match="is not an archive of 'numapool capture'"):
        machine_of(tmp_path / "file")

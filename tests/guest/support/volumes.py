"""Makes partitions, volumes and file systems on the disks of a guest, and finds its disks again."""

from __future__ import annotations

import fcntl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_SECTOR_BYTES = 512
_ALIGNED_SECTORS = 2048
_BLKRRPART = 0x125F  # linux/fs.h: read the partition table again
_WAIT_S = 120.0


def run(*command: str, text: str | None = None) -> str:
    """Run a program to its end; what it wrote."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def wait_for(look: Callable[[], bool], what: str) -> None:
    """Wait until `look` is true: drivers find disks in their own time."""
    end = time.monotonic() + _WAIT_S
    while not look():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.1)


def disks_by_serial() -> dict[str, str]:
    """The names of whole disks, heads of several paths included, by serial."""
    found = {}
    for block in Path("/sys/block").iterdir():
        if "c" in block.name.removeprefix("nvme") and block.name.startswith("nvme"):
            continue  # a path of a head
        for place in ("serial", "device/serial"):
            if (block / place).exists():
                found[(block / place).read_text().strip()] = block.name
        page = block / "device" / "vpd_pg80"  # SCSI: the unit serial number, after four bytes
        if page.exists():
            found[page.read_bytes()[4:].decode().strip()] = block.name
    return found


def interfaces_by_mac() -> dict[str, str]:
    """The names of network interfaces by their address."""
    return {
        (interface / "address").read_text().strip(): interface.name
        for interface in Path("/sys/class/net").iterdir()
        if interface.is_dir()  # bonding_masters is a file
    }


def sectors(disk: str) -> int:
    """The size of a block device in sectors of 512 bytes."""
    return int(Path(f"/sys/class/block/{disk}/size").read_text())


def make_partition(disk: str) -> str:
    """Put one partition on a disk (an MBR), from 1 MiB to the end; its name."""
    count = sectors(disk) - _ALIGNED_SECTORS
    entry = bytes((0, 0, 0, 0, 0x83, 0, 0, 0))
    entry += _ALIGNED_SECTORS.to_bytes(4, "little") + count.to_bytes(4, "little")
    with Path(f"/dev/{disk}").open("r+b", buffering=0) as device:
        device.write(bytes(446) + entry + bytes(48) + b"\x55\xaa")
        fcntl.ioctl(device, _BLKRRPART)
    name = f"{disk}p1" if disk[-1].isdigit() else f"{disk}1"
    wait_for(Path(f"/dev/{name}").exists, name)
    return name


def make_linear(name: str, *parts: str) -> str:
    """Put block devices one after another (dm-linear); the volume's kernel name."""
    lines, start = [], 0
    for part in parts:
        lines.append(f"{start} {sectors(part)} linear /dev/{part} 0")
        start += sectors(part)
    # There is no udev in a guest: nobody would answer, nor make the file in /dev/mapper.
    run("dmsetup", "create", "--noudevsync", "--noudevrules", name, text="\n".join(lines))
    run("dmsetup", "mknodes", name)
    (link,) = [
        dm.parent.parent.name
        for dm in Path("/sys/block").glob("dm-*/dm/name")
        if dm.read_text().strip() == name
    ]
    return link


def mount(source: str, point: str, kind: str, options: str = "rw") -> Path:
    """Mount a file system on a new folder."""
    folder = Path(point)
    folder.mkdir(parents=True)
    run("mount", "-t", kind, "-o", options, source, point)
    return folder

"""A kernel of Debian's for arm64, and the first file system that it starts with."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from wheels.apt import Suite
from wheels.places import DOWNLOADS

from . import kernel_source

SUITE = "trixie"
#: What reaches the root's disk and the shared folder, and the balloon.
_MODULES = ["virtio_pci", "virtio_blk", "ext4", "9pnet_virtio", "9p", "virtio_balloon"]

# The shell is busybox's. What runs in the guest is /mnt/.command, and its status /mnt/.status.
_INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc p /proc; $b mount -t sysfs s /sys; $b mount -t devtmpfs d /dev
for f in /m/*.ko; do [ ! -e $f ] || $b insmod $f || echo "init: $f"; done
i=0; while [ ! -b /dev/vda ] && [ $i -lt 600 ]; do i=$((i + 1)); $b sleep 0.1; done
$b mount -t ext4 /dev/vda /root
for d in proc sys dev; do $b mount --move /$d /root/$d; done
$b mkdir -p /root/dev/shm /root/sys/fs/cgroup
for d in dev/shm tmp run; do $b mount -t tmpfs t /root/$d; done
$b mount -t cgroup2 c /root/sys/fs/cgroup
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 shared /root/mnt
$b ip link set lo up
export PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/root LANG=C.UTF-8 TERM=dumb
$b chroot /root /bin/sh /mnt/.command
echo $? > /root/mnt/.status
$b sync; $b poweroff -f
"""


@dataclass(frozen=True)
class Kernel:
    """What QEMU starts."""

    version: str
    image: Path
    initramfs: Path


def prepared(pages: str) -> Kernel:
    """Return the kernel with base pages of "4k", "16k" or "64k".

    It is downloaded unless it is here; that of 64 KiB is built, since no package has it.
    """
    folder = DOWNLOADS / f"kernel-arm64-{pages}"
    suite = Suite(SUITE, "arm64")
    source = kernel_source.digest() if pages == "64k" else ""
    complete = folder / ".complete"
    if not (complete.exists() and complete.read_text() == source):
        shutil.rmtree(folder, ignore_errors=True)
        if pages == "64k":
            kernel_source.build(folder)
        else:
            meta = "linux-image-arm64" + ("" if pages == "4k" else f"-{pages}")
            depends = suite.run("apt-cache", "depends", meta)
            name = next(line.split()[1] for line in depends.splitlines() if "Depends: " in line)
            _unpack(suite, name, folder)
        _unpack(suite, "busybox-static", folder / "busybox")
        complete.write_text(source)
    (image,) = folder.glob("boot/vmlinuz-*")
    version = image.name.removeprefix("vmlinuz-")
    initramfs = folder / "initramfs"
    if not initramfs.exists():
        _pack(folder, [] if source else _module_files(folder, version), initramfs)
    return Kernel(version, image, initramfs)


def _unpack(suite: Suite, package: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    suite.run("apt-get", "download", package, cwd=folder)
    (archive,) = folder.glob(f"{package}_*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
    archive.unlink()


def _pack(folder: Path, modules: list[Path], initramfs: Path) -> None:
    root = folder / "first"
    shutil.rmtree(root, ignore_errors=True)
    for one in ("bin", "m", "proc", "sys", "dev", "root"):
        (root / one).mkdir(parents=True)
    shutil.copy(folder / "busybox" / "usr" / "bin" / "busybox", root / "bin" / "busybox")
    for number, file in enumerate(modules):
        text = file.read_bytes()
        text = lzma.decompress(text) if file.suffix == ".xz" else text
        (root / "m" / f"{number:03}-{file.name.removesuffix('.xz')}").write_bytes(text)
    (root / "init").write_text(_INIT)
    (root / "init").chmod(0o755)
    names = "\n".join(str(one.relative_to(root)) for one in sorted(root.rglob("*")))
    packed = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc"],
        cwd=root,
        input=names.encode(),
        capture_output=True,
        check=True,
    ).stdout
    initramfs.write_bytes(gzip.compress(packed, 1))


def _module_files(folder: Path, version: str) -> list[Path]:
    """Return the modules and what they depend on, in the order of loading; not what is built in."""
    base = folder / "usr" if (folder / "usr" / "lib" / "modules").is_dir() else folder
    subprocess.run(["/sbin/depmod", "-b", base, version], check=True)
    files: dict[Path, None] = {}
    for name in _MODULES:
        asked = ["/sbin/modprobe", "-d", str(base), "-S", version, "--show-depends", name]
        told = subprocess.run(asked, capture_output=True, text=True).stdout
        for line in told.splitlines():
            if line.startswith("insmod "):
                files[Path(line.split()[1])] = None
    return list(files)

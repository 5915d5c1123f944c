"""Builds an arm64 kernel with base pages of 64 KiB from Debian's source, since no package has one.

Everything that the guests need is built in (64k.config), so that it takes minutes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

from wheels import apt

HERE = Path(__file__).parent
CONFIG = HERE / "64k.config"
#: Debian's source package in its archive: path, SHA-256. The same release as the packaged kernels.
PIN = HERE / "64k.txt"
#: The same source makes the same bytes.
_NAMES = {"KBUILD_BUILD_TIMESTAMP": "2020-01-01", "KBUILD_BUILD_USER": "numapool"}
_NAMES["KBUILD_BUILD_HOST"] = "numapool"


def digest() -> str:
    """Return what tells a kernel that is built from one that would be built now."""
    return hashlib.sha256(PIN.read_bytes() + CONFIG.read_bytes()).hexdigest()


def build(folder: Path) -> None:
    """Build the kernel, as `folder`/boot/vmlinuz-VERSION."""
    path, sha256 = PIN.read_text().splitlines()[-1].split()
    package = apt.fetch(path, sha256)
    print("aarch64: the kernel with pages of 64 KiB is built now", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=package.parent) as at:
        subprocess.run(["dpkg-deb", "-x", package, at], check=True)
        (archive,) = Path(at).glob("usr/src/linux-source-*.tar.xz")
        source = Path(at) / "source"
        source.mkdir()
        subprocess.run(
            ["tar", "-x", "-f", archive, "-C", source, "--strip-components=1"], check=True
        )
        _make(source, f"KCONFIG_ALLCONFIG={CONFIG}", "allnoconfig")
        _check_config(source / ".config")
        _make(source, f"-j{os.cpu_count() or 1}", "Image")
        version = (source / "include" / "config" / "kernel.release").read_text().strip()
        image = folder / "boot" / f"vmlinuz-{version}"
        image.parent.mkdir(parents=True)
        (source / "arch" / "arm64" / "boot" / "Image").rename(image)
    print(f"aarch64: it took {time.monotonic() - began:.0f} s", flush=True)


def _make(source: Path, *what: str) -> None:
    command = ["make", "-s", "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", *what]
    done = subprocess.run(
        command, cwd=source, env={**os.environ, **_NAMES}, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"aarch64: {' '.join(command)} failed:\n{done.stderr[-8000:]}")


def _check_config(made: Path) -> None:
    """Find what the kernel's own rules dropped without a word."""
    lines = set(made.read_text().splitlines())
    asked = [one for one in CONFIG.read_text().splitlines() if one.startswith("CONFIG_")]
    if dropped := [one for one in asked if one not in lines]:
        raise SystemExit(f"aarch64: dropped from {CONFIG.name}: {', '.join(dropped)}")

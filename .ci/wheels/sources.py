"""What no package has: CPythons built from source (sources.txt), and musl's loader, unpacked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import apt, compile, roots
from .apt import Suite
from .matrix import HERE, Cell, cells
from .places import BUILD, DOWNLOADS

PINS = HERE / "sources.txt"
#: Tests and documentation are left out, and what makes a build slow.
_OPTIONS = ["--disable-test-modules", "--without-doc-strings", "--without-ensurepip"]


def pins() -> dict[str, tuple[str, str]]:
    """Return the path in Debian's archive and the digest, by the wheel's name."""
    lines = [line.split() for line in PINS.read_text().splitlines() if not line.startswith("#")]
    return {name: (path, digest) for name, path, digest in lines}


def built(cell: Cell) -> Path | None:
    """Return a cell's Python, built unless it is here; None if the cell has no source."""
    if cell.name not in pins():
        return None
    path, digest = pins()[cell.name]
    folder = BUILD / "pythons" / cell.name
    abi = "t" * cell.python.free_threaded
    python = folder / "bin" / f"python{cell.python.version}{abi}"
    stamp = folder / ".from"
    if not (stamp.exists() and stamp.read_text() == digest):
        shutil.rmtree(folder, ignore_errors=True)
        _build(cell, apt.fetch(path, digest), folder)
        stamp.write_text(digest)
    return python


def _build(cell: Cell, archive: Path, folder: Path) -> None:
    about = "is built now, in about three minutes of processor time"
    print(f"{cell.name}: its CPython {about}", file=sys.stderr, flush=True)
    source = folder / "source"
    source.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-f", archive, "-C", source, "--strip-components=1"], check=True)
    options = [*_OPTIONS, f"--prefix={folder}"]
    if cell.python.free_threaded:
        options.append("--disable-gil")
    if cell.target.tag.startswith("musl"):
        assert cell.target.zig is not None
        flags = "-dynamic -Wno-date-time"  # CPython tells when it was built, which zig refuses
        compiler = f"{compile.zig()} cc -target {cell.target.zig} {flags}"
        # By this name in its headers configure knows musl; zig has a header of its own there.
        options += [f"CC={compiler}", f"CPP={compiler} -E -D__DEFINED_va_list"]
        # What it makes, it also runs, and there is no loader of musl where programs name it.
        options.append(f"LDFLAGS=-Wl,--dynamic-linker={loader_of_musl()}")
        options.append("PKG_CONFIG=false")  # it would tell of this system's libraries
    compile.run("./configure", "-q", *options, cwd=source)
    compile.run("make", "-s", f"-j{os.cpu_count() or 1}", cwd=source)
    compile.run("make", "-s", "install", cwd=source)
    shutil.rmtree(source)


def lock() -> None:
    """Pin the newest source of each suite in the place of those that are pinned.

    A suite may list what the archive does not serve yet, or no longer: then the pin stays.
    """
    comment, *_ = PINS.read_text().splitlines()
    lines = [comment]
    for cell in cells():
        if cell.name not in pins():
            continue
        assert cell.python.suite is not None
        suite = Suite(cell.python.suite, cell.target.debian, kind="deb-src")
        name = f"python{cell.python.version}"
        shown = suite.run("apt-cache", "showsrc", "--only-source", name)
        # Where a suite has several versions for a while, the last is the newest.
        found = re.findall(r"^ (\w{64}) \d+ (\S+\.orig\.tar\.\w+)$", shown, re.MULTILINE)
        digest, file = found[-1]
        path = f"pool/main/p/{name}/{file}"
        if not apt.serves(path):
            print(f"{cell.name}: {suite.name} lists {file}, which its archive does not serve")
            path, digest = pins()[cell.name]
        lines.append(f"{cell.name} {path} {digest}")
    PINS.write_text("\n".join(lines) + "\n")


def loader_of_musl() -> Path:
    """Return musl's C library of Debian's, which is a program that loads others too."""
    root = DOWNLOADS / "musl"
    if not root.exists():
        DOWNLOADS.mkdir(parents=True, exist_ok=True)
        for package in roots.packages(Suite("trixie", "amd64"), "musl"):
            subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    return root / "usr" / "lib" / "x86_64-linux-musl" / "libc.so"


def release_of_musl() -> str:
    """Return the version of musl's C library that is at hand."""
    said = subprocess.run([loader_of_musl()], capture_output=True, text=True).stderr
    return said.split("Version ")[1].split()[0]

"""Debian's Python of a suite and all it needs, unpacked into a folder in which programs run.

Programs of another processor run by qemu-user, one process each. It passes most system calls on,
but not those of placement.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

from .apt import Suite
from .matrix import Cell
from .places import DOWNLOADS

QEMU = "/usr/bin/qemu-{}-static"

# In namespaces of its own: nothing is left mounted, and root is not needed if the kernel allows it.
_ENTER = """
for one in proc sys dev; do mount --rbind /$one "$0/$one" || exit 99; done
mount -t tmpfs none "$0/tmp" && mount --bind "$1" "$0/opt" || exit 99
if [ -n "$2" ]; then
  : >>"$0/qemu" && mount --bind "$2" "$0/qemu" || exit 99
  exec chroot "$0" /qemu "${@:3}"
fi
exec chroot "$0" "${@:3}"
"""


def prepared(cell: Cell) -> Path:
    """Return the folder for a cell's Python, made unless it is there."""
    suite, name = _suite_and_python(cell)
    root = DOWNLOADS / f"root-{suite}-{cell.target.debian}"
    if not (root / ".complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        for folder in ("usr/bin", "usr/sbin", "usr/lib", "proc", "sys", "dev", "tmp", "etc", "opt"):
            (root / folder).mkdir(parents=True)
        for link in ("bin", "sbin", "lib"):
            (root / link).symlink_to(f"usr/{link}")
        # NumPy's wheels link the system's libstdc++, ours nothing of the kind.
        names = f"{name}-minimal", f"lib{name}-stdlib", "libstdc++6"
        for package in packages(Suite(suite, cell.target.debian), *names):
            data = subprocess.run(
                ["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True
            ).stdout
            subprocess.run(
                ["tar", "-x", "-C", root, "--keep-directory-symlink"], input=data, check=True
            )
        if (root / "usr" / "lib64").is_dir() and not (root / "lib64").exists():
            (root / "lib64").symlink_to("usr/lib64")
        (root / ".complete").touch()
    return root


def _suite_and_python(cell: Cell) -> tuple[str, str]:
    """Return the suite with a cell's Python, and its name; another one if Debian has none."""
    if cell.python.suite is None:
        return "trixie", "python3.13"
    return cell.python.suite, f"python{cell.python.version}"


def packages(suite: Suite, *names: str) -> list[Path]:
    """Download packages and all they depend on; return their files, dependencies first."""
    suite.run("apt-get", "install", "--yes", "--download-only", *names)
    simulated = suite.run("apt-get", "install", "--simulate", *names)
    found = re.findall(r"^Inst (\S+) \((\S+) ", simulated, re.MULTILINE)
    archives = suite.root / "archives"
    return [
        next(archives.glob(f"{name.split(':')[0]}_{version.replace(':', '%3a')}_*.deb"))
        for name, version in found
    ]


def described(cell: Cell) -> str:
    """Return where programs of a cell run."""
    emulated = cell.target.processor != platform.machine()
    return (
        f"Debian {_suite_and_python(cell)[0]}, {cell.target.processor}" + ", qemu-user" * emulated
    )


def python(cell: Cell, opt: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a cell's Python, which finds the packages in `opt`/wheel."""
    return program(cell, opt, f"/usr/bin/python{cell.python.version}", "-s", *arguments)


def program(cell: Cell, opt: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a cell's root, where the folder `opt` is /opt."""
    processor = cell.target.processor
    qemu = QEMU.format(processor) if processor != platform.machine() else ""
    unshare = ["unshare", "--mount", "--map-root-user"]
    variables = [
        "/usr/bin/env",
        "-i",
        "PYTHONPATH=/opt/wheel",
        "HOME=/tmp",
        "PATH=/usr/sbin:/usr/bin",
        "LANG=C.UTF-8",
    ]
    return subprocess.run(
        [*variables, *unshare, "bash", "-c", _ENTER, prepared(cell), opt, qemu, *command],
        capture_output=True,
        text=True,
        timeout=600,
    )


def release(cell: Cell, opt: Path) -> str:
    """Return the version of a cell's Python."""
    done = python(cell, opt, "-c", "import sys; print(sys.version.split()[0])")
    if done.returncode != 0:
        raise SystemExit(
            f"wheels: the Python of {prepared(cell)} does not start: {done.stderr.strip()}"
        )
    return done.stdout.strip()

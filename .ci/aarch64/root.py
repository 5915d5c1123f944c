"""The guest's root: Debian's Python for arm64, the packages that tests need, and the wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from wheels import roots
from wheels.apt import Suite
from wheels.matrix import cells
from wheels.places import BUILD, DOWNLOADS, ROOT

from .kernel import SUITE

CELL = "cp313-manylinux_aarch64"
REQUIREMENTS = ROOT / ".ci" / "requirements" / "aarch64.txt"
_PROGRAMS = ("dash", "coreutils", "mount", "procps", "util-linux", "grep", "sed", "findutils")


def prepared(wheel: Path) -> Path:
    """Return a disk image with the wheel installed, made anew if it holds another wheel."""
    image = BUILD / "guest" / "root.img"
    stamp = image.with_suffix(".from")
    source = f"{wheel.name} {wheel.stat().st_mtime_ns} {REQUIREMENTS.stat().st_mtime_ns}"
    if image.exists() and stamp.exists() and stamp.read_text() == source:
        return image
    folder = BUILD / "guest" / "root"
    shutil.rmtree(folder, ignore_errors=True)
    (cell,) = [one for one in cells() if one.name == CELL]
    shutil.copytree(roots.prepared(cell), folder, symlinks=True)
    for package in roots.packages(Suite(SUITE, "arm64"), *_PROGRAMS, "python3.13"):
        data = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], capture_output=True)
        tar = ["tar", "-x", "-C", str(folder), "--keep-directory-symlink"]
        subprocess.run(tar, input=data.stdout, check=True)
    for name in ("mnt", "run", "root"):
        (folder / name).mkdir(exist_ok=True)
    if not (folder / "bin" / "sh").exists():
        (folder / "bin" / "sh").symlink_to("dash")
    (folder / "etc" / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    )
    (folder / "etc" / "group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (folder / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    site = folder / "usr" / "local" / "lib" / "python3.13" / "dist-packages"
    _install(site, "--require-hashes", "-r", str(REQUIREMENTS))
    _install(site, "--no-deps", "--no-index", str(wheel))
    _compile(folder, site)
    image.unlink(missing_ok=True)
    make = ["/sbin/mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", str(folder)]
    subprocess.run([*make, str(image), "2G"], check=True)
    stamp.write_text(source)
    return image


def _install(site: Path, *what: str) -> None:
    kind = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (28, 27, 17)]
    kind += ["--implementation=cp", "--python-version=3.13", "--only-binary=:all:"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    done = subprocess.run(
        [*pip, "--target", str(site), "--upgrade", *kind, *what], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"aarch64: {' '.join(what)} could not be installed:\n{done.stderr}")


def _compile(folder: Path, site: Path) -> None:
    """Compile what Python imports, by a Python of the same version here, if there is one.

    Without that NumPy's import takes a minute in the guest.
    """
    versions = sorted((Path.home() / ".pyenv" / "versions").glob("3.13.*/bin/python3.13"))
    python = shutil.which("python3.13") or (str(versions[-1]) if versions else None)
    if python is None:
        print("aarch64: without a CPython 3.13 here, imports take long in the guest")
        return
    options = ["-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(folder)]
    where = [str(folder / "usr" / "lib" / "python3.13"), str(site)]
    subprocess.run([python, "-m", "compileall", *options, *where], capture_output=True)


__all__ = ["CELL", "DOWNLOADS", "prepared"]

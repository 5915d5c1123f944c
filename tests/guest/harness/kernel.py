"""Fetches Debian kernels into build/kernels/, without installing them or touching apt's state."""

from __future__ import annotations

import fcntl
import lzma
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

if __package__:
    from .errors import Unavailable
else:  # run as a script: see main()
    from errors import Unavailable  # type: ignore[import-not-found,no-redef]

#: Kernel series by the Debian suites that carry them; the newest version there is taken.
SERIES: dict[str, tuple[str, ...]] = {
    "6.1": ("bookworm", "bookworm-security"),
    "6.12": ("bookworm-backports",),
}
ROOT = Path(__file__).resolve().parents[3] / "build" / "kernels"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FETCH_TIMEOUT_S = 600


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """An unpacked kernel: the image, and the tree with its modules (``modprobe -d tree``).

    ``image`` is one that QEMU boots: a bzImage, or the ELF file that was packed inside.
    """

    release: str
    image: Path
    tree: Path

    @property
    def modules(self) -> Path:
        """The folder of this release's modules and of the files that depmod made."""
        return self.tree / "lib" / "modules" / self.release


def find(series: str) -> Kernel | None:
    """The unpacked kernel of ``series``, or None where it was not fetched yet."""
    for image in sorted((ROOT / series / "boot").glob("vmlinuz-*")):
        release = image.name.removeprefix("vmlinuz-")
        kernel = Kernel(release=release, image=_plain(image), tree=ROOT / series)
        if (kernel.modules / "modules.dep").exists():
            return kernel
    return None


def _plain(image: Path) -> Path:
    """The ELF file inside a bzImage that xz packed, made at the first call; else the bzImage.

    A guest needs 2.5 s of a processor to unpack it. x86/boot.rst has the fields; QEMU starts an ELF
    file by its PVH entry.
    """
    plain = image.with_name(image.name.replace("vmlinuz", "vmlinux"))
    if not plain.exists():
        content = image.read_bytes()
        offset, length = struct.unpack_from("<II", content, 0x248)
        offset += ((content[0x1F1] or 4) + 1) * 512
        packed = content[offset : offset + length]
        if not packed.startswith(b"\xfd7zXZ\0"):
            return image
        fresh = plain.with_name(f"{plain.name}.fresh")
        fresh.write_bytes(lzma.LZMADecompressor().decompress(packed))
        fresh.rename(plain)
    return plain


def provide(series: str) -> Kernel:
    """The kernel of ``series``, fetched first where needed.

    Parameters
    ----------
    series
        A key of :data:`SERIES`.

    Raises
    ------
    Unavailable
        The machine is no Debian, its mirrors do not answer, or a tool is missing; the message says
        which.
    """
    with lock(series):
        return find(series) or _fetch(series)


@contextmanager
def lock(name: str) -> Iterator[None]:
    """One thread of one process at a time makes ``name`` in :data:`ROOT`."""
    ROOT.mkdir(parents=True, exist_ok=True)
    with (ROOT / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(series: str) -> Kernel:
    for tool in ("apt-get", "dpkg", "depmod"):
        if shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            raise Unavailable(
                f"cannot fetch a {series} kernel: {tool} is missing; this works on Debian with the "
                f"package kmod. Elsewhere unpack a kernel by hand into {ROOT / series} "
                "(boot/vmlinuz-*, lib/modules/*)."
            )
    apt = _PrivateApt(ROOT / "apt" / series, SERIES[series])
    apt.run("apt-get", "update", "--error-on=any")
    package = apt.newest_image()
    for old in apt.archives.glob("*.deb"):
        if not old.name.startswith(f"{package}_"):
            old.unlink()
    apt.run("apt-get", "download", package)
    staging = ROOT / f"{series}.partial"
    shutil.rmtree(staging, ignore_errors=True)
    for archive in apt.archives.glob("*.deb"):
        _check_call(["dpkg", "-x", str(archive), str(staging)])
    for modules in (staging / "lib" / "modules").iterdir():
        _check_call(["/sbin/depmod", "-b", str(staging), modules.name])
    shutil.rmtree(ROOT / series, ignore_errors=True)
    staging.rename(ROOT / series)
    kernel = find(series)
    if kernel is None:
        raise Unavailable(
            f"the package {package} holds no boot/vmlinuz-* with modules: look into {ROOT / series}"
        )
    return kernel


class _PrivateApt:
    """apt with state of its own; of the system's, only the mirrors' addresses are read."""

    def __init__(self, folder: Path, suites: tuple[str, ...]) -> None:
        self.archives = folder / "archives"
        for name in ("lists/partial", "archives/partial", "parts"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        mirrors = _mirrors()
        with (folder / "sources.list").open("w") as sources:
            for suite in suites:
                uri = mirrors["security" if suite.endswith("-security") else "main"]
                sources.write(f"deb [signed-by={KEYRING} arch=amd64] {uri} {suite} main\n")
        (folder / "status").touch()
        settings = {
            "Dir::State::Lists": folder / "lists",
            "Dir::State::status": folder / "status",
            "Dir::Etc::SourceList": folder / "sources.list",
            "Dir::Etc::SourceParts": folder / "parts",
            "Dir::Cache": folder,
            "Dir::Cache::Archives": self.archives,
            "APT::Sandbox::User": "root",
            "APT::Architecture": "amd64",
            "Acquire::Languages": "none",
        }
        self._options = ["-q", *(f"-o{name}={value}" for name, value in settings.items())]

    def run(self, tool: str, *arguments: str) -> str:
        return _check_call([tool, *self._options, *arguments], cwd=self.archives)

    def newest_image(self) -> str:
        """The package that the kernel metapackage names, unsigned: no boot loader checks it."""
        for line in self.run("apt-cache", "depends", "linux-image-amd64").splitlines():
            kind, _, name = line.strip().partition(": ")
            if kind == "Depends" and name.startswith("linux-image-"):
                return f"{name}-unsigned"
        raise Unavailable("linux-image-amd64 names no kernel package in these suites")


def _mirrors() -> dict[str, str]:
    """Addresses of Debian's main and security archives, from the system's own sources."""
    found: dict[str, str] = {}
    for uri, suites in _system_sources():
        for suite in suites:
            kind = "security" if suite.rstrip("/").endswith("-security") else "main"
            if kind == "security" or "/debian" in uri:
                found.setdefault(kind, uri)
    if "main" not in found or not KEYRING.exists():
        raise Unavailable(
            "cannot fetch kernels: no Debian archive in /etc/apt/sources.list or in "
            f"/etc/apt/sources.list.d, or no {KEYRING}. Unpack kernels by hand into {ROOT}/SERIES "
            "(boot/vmlinuz-*, lib/modules/*, then depmod -b)."
        )
    found.setdefault("security", found["main"].replace("/debian", "/debian-security"))
    return found


def _system_sources() -> Iterator[tuple[str, list[str]]]:
    """(URI, suites) of every binary source that Debian's keyring or the default trust covers."""
    folder = Path("/etc/apt")
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]:
        for line in path.read_text().splitlines() if path.exists() else ():
            words = line.split("]", 1)[-1].split() if "[" in line else line.split()[1:]
            if line.startswith("deb") and not line.startswith("deb-src") and len(words) >= 2:
                yield words[0], [words[1]]
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        for stanza in path.read_text().split("\n\n"):
            fields = dict(
                line.split(": ", 1)
                for line in stanza.splitlines()
                if ": " in line and not line.startswith("#")
            )
            if "deb" in fields.get("Types", "").split() and "debian" in fields.get("Signed-By", ""):
                for uri in fields.get("URIs", "").split():
                    yield uri, fields.get("Suites", "").split()


def _check_call(command: list[str], cwd: Path | None = None) -> str:
    environment = os.environ | {
        "LC_ALL": "C",
        "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
    }
    try:
        result = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            text=True,
            capture_output=True,
            timeout=FETCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"{command[0]} did not end within {FETCH_TIMEOUT_S} s: {' '.join(command[-2:])}"
        ) from error
    if result.returncode != 0:
        raise Unavailable(
            f"{' '.join(command)} ended with {result.returncode}: {result.stderr.strip()[-2000:]}"
        )
    return result.stdout


def main() -> int:
    """``python kernel.py``: fetch every series ahead of the tests."""
    for series in SERIES:
        try:
            kernel = provide(series)
        except Unavailable as error:
            print(f"{series}: {error}", file=sys.stderr)
            return 1
        print(f"{series}: {kernel.release} in {kernel.tree}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

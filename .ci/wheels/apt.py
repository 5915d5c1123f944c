"""Packages of Debian's other suites and for other processors, from the archive that apt knows.

Nothing of this machine's own apt is changed.
"""

from __future__ import annotations

import hashlib
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from .places import DOWNLOADS

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def mirror() -> str:
    """Return the address of Debian's archive that this machine's apt uses.

    Raises
    ------
    SystemExit
        If apt knows no archive of Debian.
    """
    found = _archives()
    if not found:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        found = _archives()
    if not found:
        raise SystemExit(
            "wheels: apt knows no archive of Debian. Wheels are built on a Debian system."
        )
    return found[0]


def _archives() -> list[str]:
    asked = [
        "apt-get",
        "indextargets",
        "--format",
        "$(RELEASE) $(REPO_URI)",
        "Created-By: Packages",
    ]
    try:
        lines = subprocess.run(
            [*asked, "Origin: Debian"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    pairs = [line.split() for line in lines.splitlines()]
    return [uri.rstrip("/") for release, uri in pairs if not release.endswith("-security")]


def fetch(path: str, sha256: str) -> Path:
    """Return the file at `path` of Debian's archive, downloaded unless it is here already.

    Raises
    ------
    SystemExit
        If the archive has no such file, or its contents are others.
    """
    file = DOWNLOADS / Path(path).name
    if not file.exists():
        DOWNLOADS.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        done = subprocess.run(
            [
                "/usr/lib/apt/apt-helper",
                "download-file",
                f"{mirror()}/{path}",
                partial,
                f"SHA256:{sha256}",
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise SystemExit(
                f"wheels: cannot download {path}: {done.stderr.strip()}\n"
                "If Debian has a newer version by now, pin that one: .ci/wheels/lock"
            )
        partial.rename(file)
    if hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
        raise SystemExit(f"wheels: {file} is not what was pinned. Remove it.")
    return file


def serves(path: str) -> bool:
    """Return whether Debian's archive has a file at `path`."""
    asked = urllib.request.Request(f"{mirror()}/{path}", method="HEAD")
    try:
        with urllib.request.urlopen(asked, timeout=60):
            return True
    except urllib.error.HTTPError:
        return False


class Suite:
    """A private apt for one suite of Debian and one processor, by which nothing is installed."""

    def __init__(self, name: str, architecture: str, kind: str = "deb") -> None:
        self.name = name
        self.architecture = architecture
        self.kind = kind
        self.root = DOWNLOADS / f"apt-{name}-{architecture if kind == 'deb' else 'source'}"
        self._is_known = False

    def run(self, tool: str, *arguments: str, cwd: Path | None = None) -> str:
        """Return what apt-get or apt-cache prints."""
        self._fetch_lists()
        return self._run(tool, *arguments, cwd=cwd)

    def _fetch_lists(self) -> None:
        if self._is_known:
            return
        for folder in ("lists/partial", "archives/partial", "parts"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        (self.root / "parts" / "debian.sources").write_text(
            f"Types: {self.kind}\nURIs: {mirror()}\nSuites: {self.name}\nComponents: main\n"
            f"Signed-By: {KEYRING}\n"
        )
        self._run("apt-get", "update")
        self._is_known = True

    def _run(self, tool: str, *arguments: str, cwd: Path | None = None) -> str:
        options = {
            "Dir::State::Lists": self.root / "lists",
            "Dir::State::status": self.root / "status",
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": self.root / "parts",
            "Dir::Cache": self.root,
            "Dir::Cache::Archives": self.root / "archives",
            "APT::Sandbox::User": "root",
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Install-Recommends": "0",
        }
        command = [tool, "-q", *(f"-o{key}={value}" for key, value in options.items()), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
        if done.returncode != 0:
            raise SystemExit(f"wheels: {tool} {' '.join(arguments)} failed:\n{done.stderr.strip()}")
        return done.stdout

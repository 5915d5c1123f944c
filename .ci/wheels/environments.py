"""Empty environments of Pythons: of this machine, built from source, of Debian, for Windows."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path

from . import interpreters, roots, sources, windows
from .matrix import HERE, Cell
from .places import BUILD, ROOT

#: Modules of tests/python that run too: MODULES="allocator pool".
MODULES = os.environ.get("MODULES", "").split()
#: How a Python tells its version.
_RELEASE = "import sys; print(sys.version.split()[0])"

Done = subprocess.CompletedProcess[str]


class Environment(ABC):
    """An environment that holds nothing but what is installed into it."""

    python: str
    where: str
    #: Whether the system calls of placement are passed on.
    places: bool = True

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.folder = BUILD / "run" / cell.name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        shutil.copy(HERE / "smoke.py", self.folder)
        if MODULES:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / "tests", self.folder / "tests", ignore=ignored)
            shutil.copy(ROOT / "pyproject.toml", self.folder)

    def inside(self, name: str) -> str:
        """Return how its programs name a file of its folder."""
        return str(self.folder / name)

    def install(self, *what: str) -> None:
        """Install into a folder of packages, by a pip that is told what this Python takes."""
        python, target = self.cell.python, self.cell.target
        kinds = [target.tag]
        if target.tag.startswith("manylinux"):
            kinds = [f"manylinux_2_{minor}_{target.processor}" for minor in (28, 27, 17)]
        kind = [f"--platform={one}" for one in kinds]
        kind += ["--implementation=cp", f"--python-version={python.version}", "--only-binary=:all:"]
        kind += [f"--abi={abi}" for abi in (python.tag, "abi3", "none")]
        _pip("install", "--target", str(self.folder / "wheel"), "--upgrade", *kind, *what)

    @abstractmethod
    def execute(self, *arguments: str) -> Done:
        """Run its Python."""


class Installed(Environment):
    """A virtual environment of an installed Python."""

    def __init__(self, cell: Cell, python: interpreters.Interpreter) -> None:
        super().__init__(cell)
        self.python = python.release
        self.where = f"this machine, {platform.machine()}"
        venv = self.folder / "venv"
        subprocess.run([python.executable, "-m", "venv", "--without-pip", venv], check=True)
        self._executable = str(venv / "bin" / "python")

    def install(self, *what: str) -> None:
        """Install by this Python's pip, which asks the other which wheels it takes."""
        _pip("--python", self._executable, "install", *what)

    def execute(self, *arguments: str) -> Done:
        """Run its Python, apart from the user's packages."""
        return _executed([self._executable, "-I", *arguments], self.folder)


class FromSource(Environment):
    """A Python that was built to run wheels with; it may lack modules that need other libraries."""

    def __init__(self, cell: Cell, executable: Path) -> None:
        super().__init__(cell)
        self._executable = executable
        self.python = self.execute("-c", _RELEASE).stdout.strip()
        musl = cell.target.tag.startswith("musl")
        library = f", musl {sources.release_of_musl()}" if musl else ""
        self.where = f"built from source{library}, {platform.machine()}"

    def execute(self, *arguments: str) -> Done:
        """Run its Python, apart from the user's packages."""
        path = f"PYTHONPATH={self.folder / 'wheel'}"
        clean = ["/usr/bin/env", "-i", path, "HOME=/tmp", "PATH=/usr/sbin:/usr/bin", "LANG=C.UTF-8"]
        return _executed([*clean, str(self._executable), "-s", *arguments], self.folder)


class Unpacked(Environment):
    """A Python of Debian's, of another suite or processor."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.python = roots.release(cell, self.folder)
        self.where = roots.described(cell)
        self.places = cell.target.processor == platform.machine()

    def inside(self, name: str) -> str:
        """Return it as in /opt."""
        return f"/opt/{name}"

    def execute(self, *arguments: str) -> Done:
        """Run its Python."""
        return roots.python(self.cell, self.folder, *arguments)


class UnderWine(Environment):
    """A Python for Windows."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self._executable = str(windows.prepared(cell))
        self.where = "Wine"
        self.python = self.execute("-c", _RELEASE).stdout.strip()

    def inside(self, name: str) -> str:
        """Return it as on the drive Z."""
        return windows.seen(self.folder / name)

    def execute(self, *arguments: str) -> Done:
        """Run its Python."""
        return windows.program(
            [self._executable, *arguments], self.folder / "wheel", cwd=self.folder
        )


def of(cell: Cell) -> Environment | None:
    """Return where a wheel runs; None if there is no Python for it."""
    if cell.target.platform == "windows":
        return UnderWine(cell)
    if cell.target.processor == platform.machine():
        glibc = cell.target.tag.startswith("manylinux")
        if glibc and (found := interpreters.installed(cell.python)) is not None:
            return Installed(cell, found)
        if (executable := sources.built(cell)) is not None:
            return FromSource(cell, executable)
    if cell.target.tag.startswith("musl") or cell.python.free_threaded or not cell.python.suite:
        return None
    return Unpacked(cell)


def _executed(command: list[str], folder: Path) -> Done:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"wheels: {' '.join(command)} failed:\n{done.stderr.strip()}")

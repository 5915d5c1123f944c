"""Runs a wheel in an empty environment of its Python: one of this machine, or else Debian's."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path

from . import interpreters, load, roots
from .matrix import HERE, Cell
from .places import BUILD, ROOT

#: Processes that end while their threads are at work: what goes wrong then does so in most runs.
ENDINGS = int(os.environ.get("ENDS", "10"))

Run = dict[str, str]
Done = subprocess.CompletedProcess[str]


class Environment(ABC):
    """An environment that holds nothing but what is installed into it."""

    python: str
    where: str
    smoke: str
    #: Whether the system calls of placement are passed on.
    places: bool = True

    @abstractmethod
    def install(self, *what: str) -> None:
        """Install by pip."""

    @abstractmethod
    def execute(self, *arguments: str) -> Done:
        """Run its Python."""


class Installed(Environment):
    """A virtual environment of an installed Python."""

    def __init__(self, cell: Cell, python: interpreters.Interpreter) -> None:
        self.python = python.release
        self.where = f"this machine, {platform.machine()}"
        self.smoke = str(HERE / "smoke.py")
        self._folder = _emptied(cell)
        subprocess.run([python.executable, "-m", "venv", "--without-pip", self._folder], check=True)
        self._executable = str(self._folder / "bin" / "python")

    def install(self, *what: str) -> None:
        """Install by this Python's pip, which asks the other which wheels it takes."""
        _pip("--python", self._executable, "install", *what)

    def execute(self, *arguments: str) -> Done:
        """Run its Python, apart from the user's packages."""
        command = [self._executable, "-I", *arguments]
        return subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, timeout=300
        )


class Unpacked(Environment):
    """A Python of Debian's, of another suite or processor; pip is told which wheels it takes."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._folder = _emptied(cell)
        self.python = roots.release(cell, self._folder)
        self.where = roots.described(cell)
        self.places = cell.target.processor == platform.machine()
        self.smoke = "/opt/smoke.py"
        shutil.copy(HERE / "smoke.py", self._folder)

    def install(self, *what: str) -> None:
        """Install into the folder that its Python looks in."""
        python = self._cell.python
        kind = [
            f"--platform=manylinux_2_{minor}_{self._cell.target.processor}"
            for minor in (28, 27, 17)
        ]
        kind += ["--implementation=cp", f"--python-version={python.version}", "--only-binary=:all:"]
        kind += [f"--abi={abi}" for abi in (python.tag, "abi3", "none")]
        _pip("install", "--target", str(self._folder / "wheel"), "--upgrade", *kind, *what)

    def execute(self, *arguments: str) -> Done:
        """Run its Python."""
        return roots.python(self._cell, self._folder, *arguments)


def all_of(cell: Cell, wheel: Path) -> list[Run]:
    """Return what was done with the wheel, and how it went."""
    if not cell.target.name.startswith("manylinux"):
        return [load.loaded(cell, wheel)]
    python = (
        interpreters.installed(cell.python) if cell.target.processor == platform.machine() else None
    )
    if python is not None:
        return steps(Installed(cell, python), wheel)
    if cell.python.suite is None or cell.python.free_threaded:
        return [load.loaded(cell, wheel)]
    return steps(Unpacked(cell), wheel)


def steps(environment: Environment, wheel: Path) -> list[Run]:
    """Install the wheel and run it, first by itself, then with what it needs."""
    runs = []

    def step(what: str, *arguments: str, times: int = 1) -> None:
        result = "passed"
        for _ in range(times):
            done = environment.execute(*arguments)
            if done.returncode != 0:
                message = done.stderr.strip() or done.stdout.strip() or "no message"
                result = f"failed: status {done.returncode}: {message.splitlines()[-1]}"
                break
        runs.append(
            {
                "python": environment.python,
                "where": environment.where,
                "what": what,
                "result": result,
            }
        )

    environment.install("--no-deps", "--no-index", str(wheel))
    step("alone", environment.smoke, *([] if environment.places else ["--emulated"]))
    step(f"ends {ENDINGS} times with threads at work", environment.smoke, "--ending", times=ENDINGS)
    environment.install(
        "--require-hashes", "-r", str(ROOT / ".ci" / "requirements" / "wheel-run.txt")
    )
    step(
        "with NumPy",
        "-c",
        "import numapool; a = numapool.zeros((512, 512)); a += 1; assert a.sum() == 512 * 512",
    )
    if environment.places:
        step("`numapool demo`", "-m", "numapool", "demo")
    return runs


def _emptied(cell: Cell) -> Path:
    folder = BUILD / "run" / cell.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"wheels: {' '.join(command)} failed:\n{done.stderr.strip()}")

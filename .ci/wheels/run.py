"""Runs a wheel in an empty environment of its Python, step by step."""

from __future__ import annotations

import os
import re
from pathlib import Path

from . import environments, load
from .environments import MODULES, Environment
from .matrix import Cell
from .places import ROOT

#: Processes that end while their threads are at work: what goes wrong then does so in most runs.
ENDINGS = int(os.environ.get("ENDS", "10"))

Run = dict[str, str]


def all_of(cell: Cell, wheel: Path) -> list[Run]:
    """Return what was done with the wheel, and how it went."""
    environment = environments.of(cell)
    return [load.loaded(cell, wheel)] if environment is None else steps(environment, wheel)


def steps(environment: Environment, wheel: Path) -> list[Run]:
    """Install the wheel and run it, first by itself, then with what it needs."""
    runs = []
    smoke = environment.inside("smoke.py")

    def step(what: str, *arguments: str, times: int = 1) -> None:
        result = "passed"
        for _ in range(times):
            done = environment.execute(*arguments)
            # Under Wine a status may be wrong.
            if done.returncode != 0 or (smoke in arguments and "passed" not in done.stdout):
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
    step("alone", smoke, *([] if environment.places else ["--emulated"]))
    step(f"ends {ENDINGS} times with threads at work", smoke, "--ending", times=ENDINGS)
    numpy = requirements(environment.cell)
    if numpy is None:
        return runs
    environment.install("--require-hashes", "-r", str(numpy))
    step(
        "with NumPy",
        "-c",
        "import numapool; a = numapool.zeros((512, 512)); a += 1; assert a.sum() == 512 * 512",
    )
    if environment.places and numpy.stem != "free-threaded":
        step("`numapool demo`", "-m", "numapool", "demo")
    if MODULES:
        runs += tests_run(environment)
    return runs


def tests_run(environment: Environment) -> list[Run]:
    """Run the modules of the package's tests that were asked for."""
    files = [environment.inside(f"tests/python/test_{one}.py") for one in MODULES]
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = environment.execute(*pytest, "--rootdir", environment.inside(""), *files)
    python, where = environment.python, environment.where
    if told := tests_told(python, where, done.stdout.splitlines()):
        return told
    last = " ".join((done.stdout + done.stderr).strip().splitlines()[-1:])
    result = f"failed: status {done.returncode}: {last}"
    return [{"python": python, "where": where, "what": "tests of the package", "result": result}]


def requirements(cell: Cell) -> Path | None:
    """Return what is installed beside a wheel; None if NumPy has no wheel that runs there."""
    name = "aarch64" if MODULES else "wheel-run"
    if cell.target.platform == "windows":
        # Wine 8 lacks a function that NumPy loads from 2.1 on; 2.0 has no wheel for CPython 3.13.
        if cell.python.tag not in ("cp311", "cp312"):
            return None
        name = "windows"
    elif cell.python.free_threaded or cell.target.tag.startswith("musl"):
        name = "free-threaded"  # the command's packages have no wheels for it
    return ROOT / ".ci" / "requirements" / f"{name}.txt"


def tests_told(python: str, where: str, lines: list[str]) -> list[Run]:
    """Return as runs what the closing lines of pytest say."""
    runs = []
    for line in lines:
        if (told := re.search(r"(?:(\d+) failed, )?(\d+) passed.* in [\d.]+s", line)) is not None:
            result = f"failed: {told[1]}" if told[1] else "passed"
            what = f"{int(told[2]) + int(told[1] or 0)} tests of the package"
            runs.append({"python": python, "where": where, "what": what, "result": result})
    return runs

"""Which wheels there are (matrix.toml), and which of them are asked for."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Target:
    """A processor, and a C library or Windows."""

    name: str
    tag: str
    processor: str
    #: As Debian calls the processor.
    debian: str
    #: For what zig compiles; None if MinGW does.
    zig: str | None = None
    #: What the names of modules end in.
    ending: str

    @property
    def platform(self) -> str:
        """The folder of csrc/platform."""
        return "linux" if self.zig else "windows"


@dataclass(frozen=True, kw_only=True)
class Python:
    """A CPython: its version, its ABI, and where its headers come from."""

    tag: str
    suite: str | None
    no_interpreter: str | None

    @property
    def version(self) -> str:
        """The version as in `python3.13`."""
        return f"3.{self.tag.removeprefix('cp3').removesuffix('t')}"

    @property
    def free_threaded(self) -> bool:
        """Whether it has no GIL."""
        return self.tag.endswith("t")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A wheel: one Python on one target."""

    python: Python
    target: Target
    left_out: str | None

    @property
    def name(self) -> str:
        """The name that ONLY takes."""
        return f"{self.python.tag}-{self.target.name}"

    @property
    def tags(self) -> str:
        """The tags in the wheel's name."""
        return f"{self.python.tag.removesuffix('t')}-{self.python.tag}-{self.target.tag}"

    @property
    def module(self) -> str:
        """The extension module's file."""
        abi = self.python.tag.removeprefix("cp")
        cpython = "cpython-" if self.target.platform == "linux" else "cp"
        return f"_core.{cpython}{abi}-{self.target.ending}"


def cells(file: Path = HERE / "matrix.toml") -> list[Cell]:
    """Return every cell of the matrix, those left out too, target by target."""
    table = tomllib.loads(file.read_text())
    left_out: dict[str, str] = table["left_out"]
    pythons = [
        Python(tag=tag, suite=one.get("suite"), no_interpreter=one.get("interpreter"))
        for tag, one in table["pythons"].items()
    ]
    found = []
    for name, one in table["targets"].items():
        target = Target(name=name, **one)
        for python in pythons:
            reason = left_out.pop(f"{python.tag}-{name}", None)
            found.append(Cell(python=python, target=target, left_out=reason))
    if left_out:
        raise SystemExit(
            f"wheels: {file.name} leaves out wheels that it does not have: {', '.join(left_out)}"
        )
    return found


def chosen(only: str, everything: list[Cell]) -> list[Cell]:
    """Return the cells that `only` names, separated by blanks or commas; all if it is empty.

    Raises
    ------
    SystemExit
        If a name is unknown.
    """
    names = re.split(r"[\s,]+", only.strip()) if only.strip() else []
    unknown = set(names) - {cell.name for cell in everything}
    if unknown:
        raise SystemExit(
            f"wheels: unknown in ONLY: {', '.join(sorted(unknown))}. "
            f"Known names: {' '.join(cell.name for cell in everything)}"
        )
    return [cell for cell in everything if not names or cell.name in names]

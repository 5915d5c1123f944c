"""Machines as text: a ``.tree`` file lists paths and their content, and becomes a root folder.

A line ``== PATH`` begins a file, ``== PATH/`` an empty folder, ``== PATH -> TARGET`` a symbolic
link. What follows, up to the next such line, is the file's text. Lines before the first describe
the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MACHINES = Path(__file__).parents[2] / "fixtures" / "sysfs"


def parse(text: str) -> dict[str, str]:
    """Return what the text of a tree holds, by path; folders end with a slash."""
    files: dict[str, str] = {}
    lines: list[str] | None = None
    path = ""
    for line in [*text.splitlines(), "== "]:
        if not line.startswith("== "):
            if lines is not None:
                lines.append(line)
            continue
        if lines is not None:
            files[path] = "".join(f"{one}\n" for one in lines)
        path, lines = line.removeprefix("== ").strip(), []
    return files


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the files of a tree below `root`, and return it."""
    for path, content in files.items():
        name, _, target = path.partition(" -> ")
        place = root / name
        if path.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if target:
            place.symlink_to(target)
        elif isinstance(content, bytes):
            place.write_bytes(content)
        else:
            place.write_text(content)
    return root


def machine(name: str) -> dict[str, str]:
    """Return the files of a captured or made-up machine."""
    return parse((MACHINES / f"{name}.tree").read_text())


def names() -> list[str]:
    """Return the names of all machines."""
    return sorted(path.stem for path in MACHINES.glob("*.tree"))

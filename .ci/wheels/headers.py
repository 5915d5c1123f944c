"""The headers of each CPython in one flat folder, from Debian (headers.txt) or an interpreter."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import apt, interpreters, windows
from .matrix import HERE, Cell, Python, cells
from .places import BUILD, ROOT

PINS = HERE / "headers.txt"


def pins() -> dict[tuple[str, str], tuple[str, str]]:
    """Return the path in Debian's archive and the digest, by suite and architecture."""
    lines = [line.split() for line in PINS.read_text().splitlines() if not line.startswith("#")]
    return {(suite, architecture): (path, digest) for suite, architecture, path, digest in lines}


def missing(cell: Cell) -> str | None:
    """Return why a cell's headers cannot be had, which matrix.toml says; None if they can."""
    if cell.python.suite is None and interpreters.installed(cell.python) is None:
        return cell.python.no_interpreter
    if cell.target.platform == "windows" and cell.python.tag not in windows.pins():
        return "no package has this CPython for Windows"
    return None


def prepared(cell: Cell) -> Path:
    """Return the folder with a cell's headers, made unless it is up to date."""
    folder = BUILD / cell.target.name / f"include-{cell.python.tag}"
    if cell.python.suite is not None:
        path, digest = pins()[cell.python.suite, cell.target.debian]
        source = digest
    else:
        found = interpreters.installed(cell.python)
        assert found is not None
        source = found.include
    stamp = folder / ".from"
    if stamp.exists() and stamp.read_text() == source:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    if cell.python.suite is not None:
        _unpack(apt.fetch(path, digest), cell, folder)
    else:
        shutil.copytree(source, folder)
    if cell.target.platform == "windows":
        shutil.copy(ROOT / ".ci" / "windows" / "pyconfig.h", folder)
    else:
        _say_which_abi(cell.python, folder / "pyconfig.h")
    stamp.write_text(source)
    return folder


def _unpack(package: Path, cell: Cell, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as at:
        subprocess.run(["dpkg-deb", "-x", package, at], check=True)
        name = f"python{cell.python.version}"
        include = Path(at) / "usr" / "include"
        shutil.copytree(include / name, folder)
        # Debian's own pyconfig.h only picks the one of the processor.
        (own,) = [
            one for one in include.glob(f"*/{name}/pyconfig.h") if one.parent.parent != include
        ]
        shutil.copy(own, folder / "pyconfig.h")


def _say_which_abi(python: Python, pyconfig: Path) -> None:
    """Both ABIs share CPython's headers; pyconfig.h says which one is meant."""
    text = pyconfig.read_text()
    if not re.search(r"^#define SIZEOF_LONG 8$", text, re.MULTILINE):
        raise SystemExit(f"wheels: {pyconfig} is not of a 64-bit Linux")
    text = re.sub(r"^#define Py_GIL_DISABLED 1\n", "", text, flags=re.MULTILINE)
    if python.free_threaded:
        text += "\n#define Py_GIL_DISABLED 1\n"
    pyconfig.write_text(text)


def lock() -> None:
    """Pin the newest packages of each suite that the matrix names."""
    wanted = {
        (one.python.suite, one.target.debian, one.python.version): None
        for one in cells()
        if one.python.suite is not None
    }
    lines = [
        "# CPython's headers in Debian's archive: suite, architecture, path, SHA-256.",
        "# Made by .ci/wheels/lock.",
    ]
    for suite, architecture, version in sorted(wanted):
        shown = apt.Suite(suite, architecture).run(
            "apt-cache", "show", "--no-all-versions", f"libpython{version}-dev"
        )
        fields = dict(re.findall(r"^(Filename|SHA256): (.*)$", shown, re.MULTILINE))
        lines.append(f"{suite} {architecture} {fields['Filename']} {fields['SHA256']}")
    PINS.write_text("\n".join(lines) + "\n")

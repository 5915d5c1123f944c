"""Asks which systems a wheel runs on (auditwheel), and refuses one whose tag promises more."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from .matrix import Cell


def oldest_system(cell: Cell, wheel: Path) -> str:
    """Return the oldest system that a wheel runs on, as a tag without the processor.

    Raises
    ------
    SystemExit
        If it is newer than the wheel's own tag, or the module needs a library of others.
    """
    if cell.target.platform == "windows":
        return _windows(wheel, f"numapool/{cell.module}")
    asked = [sys.executable, "-m", "auditwheel", "show", "--json", str(wheel)]
    done = subprocess.run(asked, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"wheels: auditwheel cannot read {wheel.name}: {done.stderr.strip()}")
    found: str = json.loads(done.stdout)["overall_tag"]
    if not keeps(cell.target.tag, found):
        raise SystemExit(
            f"wheels: {wheel.name} runs on {found} only, says auditwheel:\n{done.stdout}"
        )
    return found.removesuffix(f"_{cell.target.processor}")


#: Libraries that every Windows has; of functions that came after Windows 10 the module links none.
_OF_WINDOWS = {"kernel32", "msvcrt", "user32", "advapi32", "psapi", "setupapi", "iphlpapi"}
_OF_WINDOWS |= {"ws2_32", "ole32"}


def _windows(wheel: Path, module: str) -> str:
    with tempfile.TemporaryDirectory() as at, zipfile.ZipFile(wheel) as archive:
        file = archive.extract(module, at)
        told = subprocess.run(
            ["x86_64-w64-mingw32-objdump", "-p", file], capture_output=True, text=True, check=True
        ).stdout
    libraries = set(re.findall(r"dll name: (.+)\.dll$", told.lower(), re.MULTILINE))
    others = {one for one in libraries - _OF_WINDOWS if not re.fullmatch(r"python3\d+", one)}
    if others or not libraries:
        raise SystemExit(f"wheels: {wheel.name} links {sorted(others)}, not of Windows")
    return "windows_10"


def keeps(promised: str, found: str) -> bool:
    """Whether a module that needs the system `found` keeps what the tag `promised` says."""
    tag = re.compile(r"(manylinux|musllinux)_(\d+)_(\d+)_(\w+)")
    one, other = tag.fullmatch(promised), tag.fullmatch(found)
    if one is None or other is None or (one[1], one[4]) != (other[1], other[4]):
        return False
    return (int(other[2]), int(other[3])) <= (int(one[2]), int(one[3]))

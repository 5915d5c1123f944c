"""Asks auditwheel which systems a wheel runs on, and refuses one whose tag promises more."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from .matrix import Cell


def oldest_system(cell: Cell, wheel: Path) -> str:
    """Return the oldest system that the wheel runs on, as a tag without the processor.

    Raises
    ------
    SystemExit
        If it is newer than the wheel's own tag, or the module needs a library of others.
    """
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


def keeps(promised: str, found: str) -> bool:
    """Whether a module that needs the system `found` keeps what the tag `promised` says."""
    tag = re.compile(r"(manylinux|musllinux)_(\d+)_(\d+)_(\w+)")
    one, other = tag.fullmatch(promised), tag.fullmatch(found)
    if one is None or other is None or (one[1], one[4]) != (other[1], other[4]):
        return False
    return (int(other[2]), int(other[3])) <= (int(one[2]), int(one[3]))

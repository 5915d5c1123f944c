"""The CPythons of this machine, on PATH or of pyenv."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .matrix import Python

_ASK = """
import json, sys, sysconfig
abi = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print(json.dumps({
    "executable": sys.executable,
    "release": sys.version.split()[0],
    "tag": f"cp{sys.version_info[0]}{sys.version_info[1]}{abi}",
    "include": sysconfig.get_path("include"),
}))
"""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """An installed CPython."""

    executable: str
    release: str
    tag: str
    include: str


@functools.cache
def installed(python: Python) -> Interpreter | None:
    """Return this machine's CPython of that version and ABI, None if it has none."""
    abi = "t" * python.free_threaded
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    of_pyenv = sorted(versions.glob(f"{python.version}.*/bin/python{python.version}{abi}"))
    for candidate in (sys.executable, f"python{python.version}{abi}", *reversed(of_pyenv)):
        found = _asked(str(candidate))
        if found is not None and found.tag == python.tag:
            return found
    return None


@functools.cache
def _asked(executable: str) -> Interpreter | None:
    try:
        done = subprocess.run([executable, "-c", _ASK], capture_output=True, text=True)
    except OSError:
        return None
    return Interpreter(**json.loads(done.stdout)) if done.returncode == 0 else None

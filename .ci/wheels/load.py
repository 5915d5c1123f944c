"""Loads a module whose Python is not at hand, into a program that has CPython's names alone.

It shows that the C library has every other name that the module takes, and that what the module
runs as it is loaded does not fail.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from . import compile, roots, sources
from .matrix import Cell
from .places import BUILD

_MAIN = r"""
#include <dlfcn.h>
#include <stdio.h>
int main(int count, char** arguments) {
  void* module = dlopen(arguments[count - 1], RTLD_NOW);
  if (module == NULL || dlsym(module, "PyInit__core") == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  puts("passed");
  return 0;
}
"""


def loaded(cell: Cell, wheel: Path) -> dict[str, str]:
    """Return how loading a wheel's module went, as a run."""
    folder = BUILD / "run" / cell.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        module = Path(archive.extract(f"numapool/{cell.module}", folder))
    (folder / "main.c").write_text(
        _MAIN + "".join(f"long {name}[64];\n" for name in _names_of_python(module))
    )
    assert cell.target.zig is not None
    flags = ["-target", cell.target.zig, "-dynamic", "-rdynamic", "-O1"]
    compile.run(str(compile.zig()), "cc", *flags, "-o", folder / "load", folder / "main.c")
    what = "loads; of CPython only the names"
    if "musl" in cell.target.zig:
        done = subprocess.run(
            [sources.loader_of_musl(), folder / "load", module], capture_output=True, text=True
        )
        where = f"the loader of musl {sources.release_of_musl()}"
    else:
        done = roots.program(cell, folder, "/opt/load", f"/opt/numapool/{cell.module}")
        where = roots.described(cell)
    message = (done.stderr.strip() or "no message").splitlines()[-1]
    result = "passed" if done.returncode == 0 else f"failed: status {done.returncode}: {message}"
    return {"python": "none", "where": where, "what": what, "result": result}


def _names_of_python(module: Path) -> list[str]:
    shown = subprocess.run(
        ["readelf", "--dyn-syms", "--wide", module], capture_output=True, text=True, check=True
    ).stdout
    return sorted(set(re.findall(r" UND (_?Py\w+)$", shown, re.MULTILINE)))

"""Boots an arm64 kernel with the wheel for aarch64, and runs checks and test modules in it.

python -m aarch64 [--pages 4k|16k|64k] [--nodes N] [--mib MIB-OF-A-NODE] [--append KERNEL-ARGUMENTS]
  [--checks | --command COMMAND | MODULE...]: a module is NAME of tests/python/test_NAME.py.

With --checks there are no test modules. What came of a command or of modules that were named is not
recorded.
"""

from __future__ import annotations

import argparse
import re
import shutil
import time

from wheels import records, run
from wheels.matrix import Cell, cells, chosen
from wheels.places import BUILD, DIST, ROOT

from . import guest, kernel, root

#: Test modules that ask much of the kernel and little of other packages.
MODULES = ["allocator", "memory_kinds", "node_buffer", "placement_of", "policy", "pool"]
MODULES += ["pool_process", "process_placement", "pressure", "running", "shared", "stream"]


def record(cell: Cell, where: str, lines: list[str]) -> None:
    """Add what ran in the guest to the wheel's record, in the place of what ran there before."""
    known = records.read(cell)
    if known is None or "runs" not in known:
        return
    found = [re.fullmatch(r"(\w+): (passed|FAILED)\b.*", line) for line in lines]
    checks = [(one[1], one[2]) for one in found if one is not None]
    failed = [name for name, result in checks if result == "FAILED"]
    runs = []
    if checks:
        result = f"failed: {', '.join(failed)}" if failed else "passed"
        runs.append((f"{len(checks)} checks of placement, pools and pressure", result))
    about = {"python": "3.13", "where": where}
    checked = [{**about, "what": what, "result": result} for what, result in runs]
    records.write_own_runs(cell, [*checked, *run.tests_told("3.13", where, lines)])


def main() -> None:
    """Read the command line, prepare what runs, run it."""
    read = argparse.ArgumentParser(prog="aarch64", description=__doc__)
    read.add_argument("--pages", choices=["4k", "16k", "64k"], default="4k")
    read.add_argument("--nodes", type=int, default=2)
    read.add_argument("--mib", type=int, default=768)
    read.add_argument("--append", default="")
    read.add_argument("modules", nargs="*", help="test modules, as in tests/python/test_NAME.py")
    read.add_argument("--checks", action="store_true", help="no test modules")
    read.add_argument("--command", default="")
    asked = read.parse_args()
    (cell,) = chosen(root.CELL, cells())
    wheels = list(DIST.glob(f"numapool-*-{cell.tags}.whl"))
    if not wheels:
        raise SystemExit(f"aarch64: there is no wheel. make wheels ONLY={root.CELL}")
    shared = BUILD / "guest" / "shared"
    shutil.rmtree(shared, ignore_errors=True)
    shutil.copytree(ROOT / "tests", shared / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", shared)
    shutil.copy(ROOT / ".ci" / "aarch64" / "check.py", shared)
    files = " ".join(f"tests/python/test_{one}.py" for one in asked.modules or MODULES)
    tests = f"python3.13 -m pytest -q -p no:cacheprovider {files}"
    checks = f"cd /mnt && python3.13 check.py {asked.nodes}"
    both = f"{checks}; a=$?; {tests}; b=$?; exit $((a | b))"
    command = asked.command or (checks if asked.checks else both)
    machine = guest.Machine(
        pages=asked.pages, nodes=asked.nodes, mib_of_node=asked.mib, append=asked.append
    )
    began = time.monotonic()
    booted = kernel.prepared(asked.pages)
    status, lines = guest.run(booted, root.prepared(wheels[0]), shared, machine, command)
    where = f"Linux {re.split(r'[+-]', booted.version)[0]}, {asked.pages[:-1]} KiB pages, "
    where += f"{asked.nodes} nodes, emulated"
    if not asked.command and not asked.modules:
        record(cell, where, lines)
    print(f"aarch64: {where}: {time.monotonic() - began:.0f} s in all")
    raise SystemExit(status)


main()

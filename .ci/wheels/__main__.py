"""python -m wheels build|test|python|lock|table [NAME...]: see the functions of these names."""

from __future__ import annotations

import sys
import time

from . import audit, compile, headers, pack, records, run, sources, table
from .matrix import Cell, cells, chosen
from .places import DIST, ROOT


def build(wanted: list[Cell], named: bool) -> None:
    """Build each wheel and check its tag; list what was built, and what was not, and why.

    If it was `named`, a wheel that the matrix leaves out is built too, or it is an error.
    """
    package = pack.package()
    lines = []
    for cell in wanted:
        reason = (None if named else cell.left_out) or headers.missing(cell)
        if reason is not None and named:
            raise SystemExit(f"wheels: {cell.name} cannot be built: {reason}")
        if reason is not None:
            records.write_left_out(cell, reason)
            lines.append(f"{cell.name}: not built: {reason}")
            continue
        began = time.monotonic()
        wheel = pack.packed(cell, package, compile.module(cell))
        record = records.write_built(cell, wheel, audit.oldest_system(cell, wheel))
        print(f"{cell.name}: {time.monotonic() - began:.0f} s", flush=True)
        size, system = f"{record['bytes']:,} bytes", record["needs"]
        lines.append(f"{cell.name}: {size}, needs {system}: {wheel.relative_to(ROOT)}")
    print(f"\nWheels in {DIST.relative_to(ROOT)}:", *lines, sep="\n")


def test(wanted: list[Cell]) -> None:
    """Run each wheel that was built in an environment of its own Python; fail if one failed."""
    failed = []
    for cell in wanted:
        record = records.read(cell)
        if record is None or "wheel" not in record:
            print(f"{cell.name}: not run: not built")
            continue
        runs = run.all_of(cell, DIST / record["wheel"])
        records.write_own_runs(cell, runs)
        for one in runs:
            print(
                f"{cell.name}: {one['python']} ({one['where']}): {one['what']}: {one['result']}",
                flush=True,
            )
            if one["result"].startswith("failed"):
                failed.append(cell.name)
    if failed:
        raise SystemExit(f"wheels: failed: {', '.join(dict.fromkeys(failed))}")


def python(wanted: list[Cell]) -> None:
    """Print the program of each Python that is built from source, built now if it is not here."""
    for cell in wanted:
        executable = sources.built(cell)
        if executable is None:
            raise SystemExit(f"wheels: {cell.name} has no source in {sources.PINS.name}")
        print(executable)


def main(command: str, only: str) -> None:
    """Carry out one command."""
    if command == "build":
        build(chosen(only, cells()), named=bool(only.strip()))
    elif command == "test":
        test(chosen(only, cells()))
    elif command == "python":
        python(chosen(only, cells()))
    elif command == "lock":
        headers.lock()
        sources.lock()
    elif command == "table":
        table.write()
    else:
        raise SystemExit(__doc__)


main(sys.argv[1] if len(sys.argv) > 1 else "", " ".join(sys.argv[2:]))

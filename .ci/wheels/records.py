"""What is known of each wheel, a small JSON file each: what it is, and what ran it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from .matrix import Cell
from .places import RECORDS

Record = dict[str, Any]


def write_built(cell: Cell, wheel: Path, oldest_system: str) -> Record:
    """Record a wheel. What ran another wheel of this name does not count for it."""
    data = wheel.read_bytes()
    record: Record = {
        "name": cell.name,
        "wheel": wheel.name,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "needs": oldest_system,
        "runs": [],
    }
    before = read(cell)
    if before is not None and before.get("sha256") == record["sha256"]:
        record["runs"] = before["runs"]
    _write(cell, record)
    return record


def write_runs(cell: Cell, runs: list[dict[str, str]]) -> None:
    """Record what ran a wheel: the interpreter, where it was, what was done, how it ended."""
    record = read(cell)
    assert record is not None
    _write(cell, {**record, "runs": runs})


def write_own_runs(cell: Cell, runs: list[dict[str, str]]) -> None:
    """Record them in the place of those of their kind where they were made; others stay."""
    record = read(cell)
    assert record is not None
    known = {_kind(one) for one in runs}
    write_runs(cell, [*runs, *(one for one in record["runs"] if _kind(one) not in known)])


def _kind(run: dict[str, str]) -> tuple[str, str]:
    """Return where a run was and what it did, whatever the count in that."""
    return run["where"], re.sub(r"\d+", "", run["what"])


def write_left_out(cell: Cell, reason: str) -> None:
    """Record that there is no wheel, and why."""
    _write(cell, {"name": cell.name, "left_out": reason})


def read(cell: Cell) -> Record | None:
    """Return the record of a wheel, None if there is none."""
    file = RECORDS / f"{cell.name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def _write(cell: Cell, record: Record) -> None:
    RECORDS.mkdir(parents=True, exist_ok=True)
    (RECORDS / f"{cell.name}.json").write_text(json.dumps(record, indent=2) + "\n")

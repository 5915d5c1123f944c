"""The table of wheels in docs/platforms.md, made of the records in docs/wheels.json."""

from __future__ import annotations

import json
from pathlib import Path

from . import records
from .matrix import cells
from .places import ROOT
from .records import Record

RECORDS = ROOT / "docs" / "wheels.json"
PAGE = ROOT / "docs" / "platforms.md"
BEGIN = "<!-- Made by .ci/wheels/table from wheels.json. -->\n"
END = "<!-- End of what .ci/wheels/table made. -->\n"


def write() -> None:
    """Take the newest records into docs/wheels.json, and make the table anew."""
    known = (
        {one["name"]: one for one in json.loads(RECORDS.read_text())} if RECORDS.exists() else {}
    )
    newest = [records.read(cell) or known.get(cell.name) for cell in cells()]
    RECORDS.write_text(json.dumps([one for one in newest if one is not None], indent=2) + "\n")
    before, after = PAGE.read_text().split(BEGIN)[0], PAGE.read_text().split(END)[1]
    PAGE.write_text(before + BEGIN + table(RECORDS) + END + after)


def table(file: Path) -> str:
    """Return the table of these records."""
    known = {one["name"]: one for one in json.loads(file.read_text())}
    lines = ["| wheel | size | needs | what ran it |", "|---|---|---|---|"]
    for cell in cells():
        record = known.get(cell.name, {"left_out": cell.left_out or "not tried yet"})
        if "left_out" in record:
            lines.append(f"| {cell.name} | | | not built: {record['left_out']} |")
        else:
            size = f"{record['bytes'] / 1e6:.2f} MB"
            lines.append(f"| {cell.name} | {size} | {needs(record['needs'])} | {ran(record)} |")
    return "\n".join(lines) + "\n"


def needs(system: str) -> str:
    """Return a tag like manylinux_2_17 in words."""
    name, *version = system.split("_")
    kinds = {"manylinux": "glibc", "musllinux": "musl", "windows": "Windows"}
    return f"{kinds[name]} {'.'.join(version)}"


def ran(record: Record) -> str:
    """Return what ran a wheel, in words."""
    places: dict[str, list[str]] = {}
    for one in record["runs"]:
        python = f"Python {one['python']}, " if one["python"] != "none" else ""
        result = "" if one["result"] == "passed" else f" ({one['result'].split(':')[0]})"
        places.setdefault(python + one["where"], []).append(one["what"] + result)
    return "; ".join(f"{where}: {', '.join(what)}" for where, what in places.items()) or "not run"

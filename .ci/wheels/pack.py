"""Packs a wheel: the package, which is the same for all, and a module.

Two packs of the same files have the same bytes.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from .matrix import Cell
from .places import BUILD, DIST, ROOT


def package() -> Path:
    """Return a wheel with all but the module, as scikit-build-core packs it without CMake."""
    folder = BUILD / "package"
    shutil.rmtree(folder, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    options = [
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--config-settings=wheel.cmake=false",
    ]
    subprocess.run([*pip, *options, "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def packed(cell: Cell, package: Path, module: Path) -> Path:
    """Return the wheel of `cell`, written into dist/wheels."""
    with zipfile.ZipFile(package) as archive:
        contents = {one: archive.read(one) for one in archive.namelist() if not one.endswith("/")}
    contents[f"numapool/{cell.module}"] = module.read_bytes()
    (about,) = [one for one in contents if one.endswith(".dist-info/WHEEL")]
    contents[about] = tagged(contents[about].decode(), cell.tags).encode()
    (record,) = [one for one in contents if one.endswith(".dist-info/RECORD")]
    del contents[record]
    contents = dict(sorted(contents.items()))
    contents[record] = listed(contents, record).encode()

    name, version = package.name.split("-")[:2]
    DIST.mkdir(parents=True, exist_ok=True)
    for old in DIST.glob(f"{name}-*-{cell.tags}.whl"):
        old.unlink()
    wheel = DIST / f"{name}-{version}-{cell.tags}.whl"
    wheel.write_bytes(zipped(contents, source_date()))
    return wheel


def tagged(about: str, tags: str) -> str:
    """Return the text of a file WHEEL for a wheel with a module and these tags."""
    lines = [
        line
        for line in about.splitlines()
        if line and not line.startswith(("Tag: ", "Root-Is-Purelib: "))
    ]
    return "\n".join([*lines, "Root-Is-Purelib: false", f"Tag: {tags}", ""])


def listed(contents: dict[str, bytes], record: str) -> str:
    """Return the text of RECORD: the digest and size of each file."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for name, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        rows.writerow((name, f"sha256={digest}", len(data)))
    rows.writerow((record, "", ""))
    return text.getvalue()


def zipped(contents: dict[str, bytes], seconds: int) -> bytes:
    """Return a ZIP archive of these files, dated `seconds` after 1970, or 1980 if that is later."""
    stamp = time.gmtime(max(seconds, 315532800))[:6]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in contents.items():
            entry = zipfile.ZipInfo(name, date_time=stamp)
            entry.create_system = 3  # Unix, whose permissions are in the upper half
            runs = re.search(r"\.(so|pyd)$|\.data/scripts/[^/]+$", name)
            mode = 0o100755 if runs else 0o100644
            entry.external_attr = mode << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)
    return file.getvalue()


def source_date() -> int:
    """Return SOURCE_DATE_EPOCH, or else when the last commit was made, in seconds after 1970."""
    told = os.environ.get("SOURCE_DATE_EPOCH")
    if told is None:
        asked = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "log", "-1", "--format=%ct"]
        told = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    return int(told or 0)

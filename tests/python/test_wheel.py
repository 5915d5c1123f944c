"""The repaired wheel in dist/: what it holds, and that it runs where there is no libnuma."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import cast

import pytest

DIST = Path(__file__).parents[2] / "dist"

# Runs in an environment that holds nothing but the wheel: no NumPy, rich or typer either.
PROGRAM = """
import ctypes, json, sys
try:
    ctypes.CDLL("libnuma.so.1")
    system_libnuma = True
except OSError:
    system_libnuma = False
import numapool
with numapool.NumaAllocator().allocate(4 << 20) as buffer:
    placement = buffer.placement()
    memoryview(buffer)[:3] = b"abc"
    first = bytes(memoryview(buffer)[:3])
with open("/proc/self/maps") as maps:
    mapped = sorted({line.split()[-1] for line in maps if "libnuma" in line})
print(json.dumps({
    "system_libnuma": system_libnuma,
    "mapped": mapped,
    "package": numapool.__file__,
    "resident_bytes": sum(placement.bytes_by_node.values()),
    "first": first.decode(),
    "heavy": sorted({"numpy", "rich", "typer"} & sys.modules.keys()),
}))
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    found = list(DIST.glob("numapool-*.whl"))
    assert len(found) == 1, f"{DIST} holds {len(found)} wheels, not one: run `make wheel` first"
    return found[0]


@pytest.fixture(scope="module")
def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment into which only the wheel was installed."""
    environment = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    return python


def run(command: list[str | Path], folder: Path) -> dict[str, object]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return cast(dict[str, object], json.loads(done.stdout))


def check_report(report: dict[str, object], python: Path) -> None:
    libraries = python.parents[1]
    assert str(report["package"]).startswith(str(libraries))
    mapped = cast(list[str], report["mapped"])
    grafted = [path for path in mapped if re.search(r"/numapool\.libs/libnuma-[0-9a-f]+\.so", path)]
    assert grafted and all(path.startswith(str(libraries)) for path in grafted)
    if not report["system_libnuma"]:
        assert mapped == grafted
    assert report["first"] == "abc"
    assert report["resident_bytes"] == 4 << 20
    assert report["heavy"] == []


def test_installed_alone_it_uses_its_own_libnuma(python: Path, tmp_path: Path) -> None:
    check_report(run([python, "-c", PROGRAM], tmp_path), python)


def test_it_runs_where_the_system_has_no_libnuma(python: Path, tmp_path: Path) -> None:
    # A mount namespace of its own, in which every libnuma of the system is an empty file.
    roots = [Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib")]
    hidden = [path for root in roots for path in root.rglob("libnuma.so*") if path.is_file()]
    hide = "".join(f"mount --bind /dev/null {shlex.quote(str(path))}\n" for path in hidden)
    unshare = [shutil.which("unshare") or "unshare", "--mount", "--propagation", "private"]
    for options in ([], ["--map-root-user"]):
        if subprocess.run([*unshare, *options, "sh", "-ec", hide], capture_output=True).returncode:
            continue
        script = f"{hide}exec {shlex.quote(str(python))} -c {shlex.quote(PROGRAM)}"
        report = run([*unshare, *options, "sh", "-ec", script], tmp_path)
        assert report["system_libnuma"] is False
        check_report(report, python)
        return
    pytest.skip("this system lets us make no mount namespace (unshare --mount)")


def test_it_holds_the_package_the_module_and_nothing_else(contents: dict[str, bytes]) -> None:
    suffixes = {Path(name).suffix for name in contents if name.startswith("numapool/")}
    assert suffixes <= {".py", ".pyi", ".so", ".typed"}
    assert "numapool/py.typed" in contents
    assert "numapool/__main__.py" in contents
    assert sum(re.fullmatch(r"numapool/_core\..*\.so", name) is not None for name in contents) == 1
    folders = {name.split("/")[0] for name in contents}
    version = next(f for f in folders if f.endswith(".dist-info"))
    assert folders == {"numapool", "numapool.libs", version}


def test_its_record_lists_every_file_with_its_digest(contents: dict[str, bytes]) -> None:
    (record,) = [name for name in contents if name.endswith(".dist-info/RECORD")]
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(contents[record].decode()))}
    assert rows.keys() == contents.keys()
    for name, data in contents.items():
        if name != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
            assert rows[name] == [f"sha256={digest.rstrip('=')}", str(len(data))], name


def test_it_carries_the_licence_of_what_it_grafts(contents: dict[str, bytes]) -> None:
    def only(ending: str) -> str:
        (name,) = [name for name in contents if name.endswith(ending)]
        return contents[name].decode()

    assert "Apache License" in only("/licenses/LICENSE")
    text = only("/licenses/libnuma/LGPL-2.1.txt")
    assert re.search(r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 2\.1, February 1999", text)
    assert "END OF TERMS AND CONDITIONS" in text
    (library,) = [name for name in contents if name.startswith("numapool.libs/")]
    assert library in only("/licenses/libnuma/NOTICE.txt")
    metadata = only(".dist-info/METADATA").split("\n\n")[0].split("\n")
    assert "License-Expression: Apache-2.0 AND LGPL-2.1-only" in metadata
    assert "License-File: libnuma/LGPL-2.1.txt" in metadata


def test_its_tag_promises_no_older_glibc_than_it_needs(
    wheel: Path, contents: dict[str, bytes], tmp_path: Path
) -> None:
    tag = re.search(r"manylinux_(\d+)_(\d+)_", wheel.name)
    assert tag is not None, wheel.name
    needed = {(0, 0)}
    for name, data in contents.items():
        if ".so" in Path(name).name:
            library = tmp_path / Path(name).name
            library.write_bytes(data)
            versions = subprocess.run(
                ["readelf", "--version-info", "--wide", library],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            needed |= {(int(a), int(b)) for a, b in re.findall(r"GLIBC_(\d+)\.(\d+)", versions)}
    assert max(needed) <= (int(tag[1]), int(tag[2]))
    assert max(needed) > (2, 0)

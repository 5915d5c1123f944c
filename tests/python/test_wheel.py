"""The repaired wheel in dist/: what it holds, and that it runs where nothing else is installed."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

DIST = Path(__file__).parents[2] / "dist"

# Runs in an environment that holds nothing but the wheel: no NumPy, rich or typer either.
PROGRAM = """
import json, sys
import numapool
with numapool.NumaAllocator().allocate(4 << 20) as buffer:
    placement = buffer.placement()
    memoryview(buffer)[:3] = b"abc"
    first = bytes(memoryview(buffer)[:3])
print(json.dumps({
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


def test_it_runs_installed_alone(python: Path, tmp_path: Path) -> None:
    done = subprocess.run([python, "-c", PROGRAM], cwd=tmp_path, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    report = json.loads(done.stdout)
    assert report["package"].startswith(str(python.parents[1]))
    assert report["first"] == "abc"
    assert report["resident_bytes"] == 4 << 20
    assert report["heavy"] == []


def test_its_command_loads_nothing_before_the_package(python: Path) -> None:
    """As a script that an installer writes may do: `numapool run` is to start at once."""
    command = python.with_name("numapool")
    first, *lines = command.read_text().splitlines()
    assert first.startswith("#!") and str(python) in first
    assert [line for line in lines if "import" in line] == [
        "import sys",
        "from numapool.cli.command import main",
    ]
    done = subprocess.run(
        [command, "run", "--cpus", str(min(os.sched_getaffinity(0))), "--", "echo", "started"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")


def test_its_command_is_an_extra(python: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(python), "-m", "numapool", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    for arguments in (["topo"], ["info", "--help"]):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.endswith("which is not installed: pip install 'numapool[cli]'\n")
        assert done.stderr.count("\n") == 1
    done = run("info")  # needs neither, as long as it draws nothing on a terminal
    assert (done.returncode, done.stderr) == (0, "")
    assert "This process, now" in done.stdout


def test_it_needs_numpy_alone(contents: dict[str, bytes]) -> None:
    (metadata,) = [name for name in contents if name.endswith(".dist-info/METADATA")]
    needs = re.findall(r"^Requires-Dist: (.*)$", contents[metadata].decode(), re.MULTILINE)
    assert [one for one in needs if "extra ==" not in one] == ["numpy>=1.26"]
    assert {
        re.split("[<>=]", one)[0]
        for one in needs
        if 'extra == "cli"' in one or "extra == 'cli'" in one
    } == {"rich", "typer"}


def test_it_holds_the_package_the_module_and_nothing_else(contents: dict[str, bytes]) -> None:
    suffixes = {Path(name).suffix for name in contents if name.startswith("numapool/")}
    assert suffixes <= {".py", ".pyi", ".so", ".typed"}
    assert "numapool/py.typed" in contents
    assert "numapool/__main__.py" in contents
    assert sum(re.fullmatch(r"numapool/_core\..*\.so", name) is not None for name in contents) == 1
    folders = {name.split("/")[0] for name in contents}
    version = next(f for f in folders if f.endswith(".dist-info"))
    data = version.replace(".dist-info", ".data")
    assert folders == {"numapool", version, data}
    assert [name for name in contents if name.startswith(data)] == [f"{data}/scripts/numapool"]


def test_its_record_lists_every_file_with_its_digest(contents: dict[str, bytes]) -> None:
    (record,) = [name for name in contents if name.endswith(".dist-info/RECORD")]
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(contents[record].decode()))}
    assert rows.keys() == contents.keys()
    for name, data in contents.items():
        if name != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
            assert rows[name] == [f"sha256={digest.rstrip('=')}", str(len(data))], name


def test_it_carries_its_licence_and_no_other(contents: dict[str, bytes]) -> None:
    (licence,) = [name for name in contents if "/licenses/" in name]
    assert "Apache License" in contents[licence].decode()
    (metadata,) = [name for name in contents if name.endswith(".dist-info/METADATA")]
    lines = contents[metadata].decode().split("\n\n")[0].split("\n")
    assert [line for line in lines if line.startswith("License")] == [
        "License-Expression: Apache-2.0",
        "License-File: LICENSE",
    ]


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

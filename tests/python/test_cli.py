"""The command line: info, demo, JSON, errors, and what help costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import sysfs_tree

import numapool as nump
from numapool.cli.format import ids_text, size_text


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "numapool", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
        env={**os.environ, "COLUMNS": "80", **environment},
    )


def machine(name: str, tmp_path: Path) -> str:
    return str(sysfs_tree.write(tmp_path, sysfs_tree.machine(name)))


def test_info_of_this_machine() -> None:
    done = run("info")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Pages: base" in done.stdout
    assert "This process may take" in done.stdout


def test_info_json_is_one_document() -> None:
    done = run("info", "--json")
    document = json.loads(done.stdout)
    assert done.stderr == ""
    topology = nump.NumaTopology.detect()
    assert [node["node_id"] for node in document["nodes"]] == [n.node_id for n in topology.nodes]
    assert document["machine"]["memory"]["available_bytes"] > 0
    assert document["version"] == nump.__version__


@pytest.mark.parametrize("name", sysfs_tree.names())
def test_info_of_every_machine_fits_80_columns(name: str, tmp_path: Path) -> None:
    done = run("info", "--sysfs", machine(name, tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "nodes" in done.stdout.lower()
    assert "Pages:" not in done.stdout  # of this machine: no part of the captured one


def test_distances_are_shown_row_to_column(tmp_path: Path) -> None:
    done = run("info", "--sysfs", machine("asymmetric", tmp_path))
    rows = [line.replace("│", " ").split() for line in done.stdout.splitlines()]
    assert ["1", "22", "10", "24", "32"] in rows


def test_info_json_of_a_captured_machine(tmp_path: Path) -> None:
    document = json.loads(run("info", "--json", "--sysfs", machine("cxl", tmp_path)).stdout)
    assert document["nodes"][2]["memory_tier"] == 22
    assert document["nodes"][2]["free_memory_bytes"] == 268000000 * 1024
    assert "machine" not in document


@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_errors_are_one_line_on_standard_error(json_too: tuple[str, ...]) -> None:
    done = run("info", "--sysfs", "/no/such/folder", *json_too)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("numapool: ")
    assert "/no/such/folder" in done.stderr
    assert done.stderr.count("\n") == 1


def test_wrong_usage() -> None:
    done = run("inform")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command" in done.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"'{sys.executable}' -m numapool info --json | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("{", "")


def test_version() -> None:
    assert run("--version").stdout.startswith(f"numapool {nump.__version__} ")


def test_demo() -> None:
    done = run("demo", "--size", "16")
    assert (done.returncode, done.stderr) == (0, "")
    assert "right" in done.stdout
    document = json.loads(run("demo", "--size", "16", "--json").stdout)
    assert document["nodes"]
    for node in document["nodes"]:
        assert node["zero_copy"] is node["sum_is_right"] is True
        assert node["error"] is None
        assert sum(node["bytes_by_node"].values()) == node["size_bytes"] == 16 << 20


def test_help_loads_neither_numpy_nor_the_tables() -> None:
    code = (
        "import sys, numapool.cli.app; "
        "print([m for m in ('numpy', 'rich.table', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1048575, "1 MiB"),
        (256 << 20, "256 MiB"),
        (1 << 60, "1024 PiB"),
    ],
)
def test_size_text(size: int, text: str) -> None:
    assert size_text(size) == text


def test_ids_text() -> None:
    assert ids_text([5, 0, 1, 2]) == "0-2,5"
    assert ids_text([]) == "-"

"""``numapool device``: short trees on 80 columns, and JSON that says all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import device_trees
from typer.testing import CliRunner, Result

import numapool as nump
from numapool.cli.app import app


def invoke(*arguments: str, columns: int = 80) -> Result:
    return CliRunner().invoke(app, ["device", *arguments], env={"COLUMNS": str(columns)})


def device(*arguments: str, columns: int = 80) -> str:
    """Run the command; what it printed, which is all on standard output."""
    done = invoke(*arguments, columns=columns)
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nump.NumaTopology]:
    return {
        name: device_trees.write(tmp_path_factory.mktemp("t"), name)
        for name in device_trees.names()
    }


def test_a_stack_as_a_tree(roots: dict[str, nump.NumaTopology]) -> None:
    root = roots["volumes"]._root
    assert device("--sysfs", root, "/dev/mapper/both", "nvme1n1p1") == (
        "/dev/mapper/both  nodes 0-1; nearest to all: node 0\n"
        "└── device-mapper both\n"
        "    ├── nvme nvme0n1\n"
        "    │   └── PCI 0000:00:01.0  node 0\n"
        "    └── partition nvme1n1p1\n"
        "        └── nvme nvme1n1\n"
        "            └── PCI 0000:80:01.0  node 1\n"
        "partition nvme1n1p1  node 1\n"
        "└── nvme nvme1n1\n"
        "    └── PCI 0000:80:01.0  node 1\n"
    )


def test_what_is_unknown_says_why(roots: dict[str, nump.NumaTopology]) -> None:
    root = roots["virtual_machine"]._root
    screen = device("--sysfs", root, "vda", "zram0", columns=400)
    assert screen.splitlines()[0] == "block vda  node unknown"
    assert f"{root}/sys/devices/pci0000:00/0000:00:03.0/numa_node says -1" in screen
    assert "zram0 is memory, of no node in particular" in screen
    screen = device("--sysfs", roots["circles"]._root, "dm-2", columns=400)
    assert screen.splitlines()[0].endswith("  node 1, partly unknown")


@pytest.mark.parametrize("tree", device_trees.names())
def test_screens_fit_and_json_says_all(tree: str, roots: dict[str, nump.NumaTopology]) -> None:
    topology = roots[tree]
    paths = [
        path for name, path, what in device_trees.expected() if name == tree and what != "no such"
    ]
    screen = device("--sysfs", topology._root, *paths)
    assert max(map(len, screen.splitlines())) <= 80
    assert "…" not in screen
    document = json.loads(device("--json", "--sysfs", topology._root, *paths))
    assert document == {
        "version": nump.__version__,
        "devices": [nump.device_locality(path, topology).to_dict() for path in paths],
    }


def test_what_does_not_exist_is_told_and_the_others_shown(
    roots: dict[str, nump.NumaTopology],
) -> None:
    arguments = ("--sysfs", roots["disks"]._root, "/dev/nothing", "sda", "nosuch")
    done = invoke(*arguments)
    assert done.exit_code == 1
    assert done.stdout.startswith("block sda  node 0\n")
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("numapool: ") for line in lines)
    assert "/dev/nothing" in lines[0]
    assert "'nosuch' as a file, PCI address, network interface or device" in lines[1]
    done = invoke("--json", *arguments)
    assert done.exit_code == 1
    found = json.loads(done.stdout)["devices"]
    assert [one["path"] for one in found] == ["/dev/nothing", "sda", "nosuch"]
    assert found[1]["node_id"] == 0
    assert "No such file" in found[0]["error"]
    assert done.stderr.splitlines() == lines


def test_names_cannot_steer_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "a\x1b[31m[red]\nb\udcff"
    file.touch()
    screen = device(str(file), columns=200)
    assert "\x1b" not in screen
    assert "a\\x1b[31m[red]\\nb\\udcff" in screen.splitlines()[0]


def test_this_machine() -> None:
    assert device("/", "/dev/null", "lo").count("node ") >= 3
    assert json.loads(device("--json", "/"))["devices"][0]["path"] == "/"


def test_wrong_usage() -> None:
    done = invoke()
    assert done.exit_code == 2
    assert "Missing argument" in done.stderr
    done = CliRunner().invoke(app, ["device", "--sysfs", "/no/such", "sda"])
    assert isinstance(done.exception, FileNotFoundError)

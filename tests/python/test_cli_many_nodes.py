"""Screens and pictures of machines with many nodes: short, and nothing is dropped in silence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import pci, sysfs_tree
from support.sysfs_tree import NODES
from typer.testing import CliRunner

import numapool as nump
from numapool.cli.app import app
from numapool.picture.many import classes_of, without_empty
from numapool.picture.page import compose
from numapool.picture.shapes import Label, Picture

Distance = Callable[[int, int], int]
GPU_NODES = (2, 10, 18, 26)


def machine(count: int, distance: Distance, empty: frozenset[int] = frozenset()) -> dict[str, str]:
    """Return a machine of nodes with 8 CPUs and 64 GiB each; empty ones have neither."""
    files = {f"{NODES}/online": f"0-{count - 1}\n"}
    for node in range(count):
        folder, total = f"{NODES}/node{node}", 0 if node in empty else 64 << 20
        row = (10 if node == other else distance(node, other) for other in range(count))
        files[f"{folder}/cpulist"] = "\n" if node in empty else f"{8 * node}-{8 * node + 7}\n"
        files[f"{folder}/distance"] = " ".join(map(str, row))
        files[f"{folder}/meminfo"] = (
            f"Node {node} MemTotal: {total} kB\nNode {node} MemFree: {total * (node % 7) // 8} kB\n"
        )
    return files


def sockets_of(size: int) -> Distance:
    """Return the distances of a machine whose sockets stand in a row."""
    return lambda a, b: 12 if a // size == b // size else 20 + abs(a // size - b // size)


def in_turns(a: int, b: int) -> int:
    """Return distances of a machine of two sockets whose nodes are numbered in turns."""
    return 12 if a % 2 == b % 2 else 21


def scattered(a: int, b: int) -> int:
    return 11 + (a * 7 + b) % 240


EMPTY_28 = frozenset(range(2, 34)) - frozenset(GPU_NODES)
MACHINES: dict[str, dict[str, str]] = {
    "parts of GPUs": machine(34, in_turns, EMPTY_28),
    "34": machine(34, sockets_of(17)),
    "256": machine(256, sockets_of(32)),
    "256 in turns": machine(256, in_turns),
    "70 scattered": machine(70, scattered),
}
#: Lines that are few enough to be read.
MOST_LINES = {"parts of GPUs": 40, "34": 80, "256": 60, "256 in turns": 20}


def read(files: dict[str, str], tmp_path: Path) -> tuple[Path, nump.NumaTopology]:
    root = sysfs_tree.write(tmp_path, files)
    return root, nump.NumaTopology.from_sysfs(root)


def screen(command: str, root: Path, width: int) -> str:
    done = CliRunner().invoke(
        app, [command, "--sysfs", str(root)], env={"COLUMNS": str(width)}, catch_exceptions=False
    )
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= width
    assert "…" not in done.stdout
    return done.stdout


def ids(text: str) -> list[int]:
    found: list[int] = []
    for part in re.split(r"[, ]+", text.strip()):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        found += range(int(first), int(last or first) + 1, int(step or 1))
    return found


def table(text: str) -> dict[tuple[int, int], int]:
    """Read the table of distances back, whatever nodes share its rows."""
    named = {
        name: ids(listed)
        for name, listed in re.findall(r"^(#\d+): nodes ([-:\d,\s]+?)\n(?=#| |N)", text, re.M)
    }
    found: dict[tuple[int, int], int] = {}
    columns: list[list[int]] = []
    for line in text.splitlines():
        row, rule, cells = line.partition("│")
        if not rule or "╭" in line or "╰" in line:
            continue
        if not row.strip():
            columns = [named.get(one) or ids(one) for one in cells.split()]
            continue
        rows = named.get(row.strip()) or ids(row)
        for many, value in zip(columns, map(int, cells.split()), strict=True):
            shared = len(rows) > 1 and rows == many
            found |= {(a, b): 10 if a == b and shared else value for a in rows for b in many}
    return found


def matrix(topology: nump.NumaTopology) -> dict[tuple[int, int], int]:
    known = [node.node_id for node in topology.nodes]
    return {(a, b): topology.distance(a, b) for a in known for b in known}


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("name", MACHINES)
def test_info(name: str, width: int, tmp_path: Path) -> None:
    root, topology = read(MACHINES[name], tmp_path)
    text = screen("info", root, width)
    shown, left_out = without_empty(topology)
    flat = " ".join(text.split())
    if name == "parts of GPUs":
        assert left_out == "28 nodes without memory and CPUs: 3-9, 11-17, 19-25, 27-33"
    assert left_out in flat
    if width == 80 and name in MOST_LINES:
        assert len(text.splitlines()) <= MOST_LINES[name]
    assert ("numapool info --json has each" in flat) is (topology.node_count > 64)
    if name != "70 scattered":
        assert table(text) == matrix(shown)


def test_distances_without_a_pattern_are_a_line_for_each_node(tmp_path: Path) -> None:
    root, topology = read(MACHINES["70 scattered"], tmp_path)
    text = screen("info", root, 200).partition("Distances from each node")[2]
    found: dict[tuple[int, int], int] = {(node, node): 10 for node in range(70)}
    node = -1
    for line in text.splitlines()[1:]:
        start = re.match(r" ?(\d+)  ", line)
        node = int(start[1]) if start else node
        for distance, to in re.findall(r"(\d+) to ([-:\d,]+)", line):
            found |= {(node, other): int(distance) for other in ids(to)}
    assert found == matrix(topology)


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("name", MACHINES)
def test_topo(name: str, width: int, tmp_path: Path) -> None:
    files = MACHINES[name] | pci.device("nvme", "nvme0n1", 3, 1)
    root, topology = read(files, tmp_path)
    text = screen("topo", root, width)
    titles = [ids(one) for one in re.findall(r"─ nodes? ([-:\d,]+)", text)]
    told = sorted(node for some in titles for node in some)
    missing = sorted({node.node_id for node in topology.nodes}.difference(told))
    flat = " ".join(text.split())
    assert len(told) == len(set(told))
    assert [3] in titles  # it has a disk
    if name == "parts of GPUs":
        assert len(missing) == 27
        assert "27 nodes without memory and CPUs: 4-9, 11-17, 19-25, 27-33." in flat
    else:
        assert missing == []
    assert ("Nodes that are alike share a card" in flat) is name.startswith("256")
    assert ("Nodes 0-6:2 are" in flat) is (name == "256 in turns")
    if name == "256" and width == 80:
        assert "8 CPUs each" in flat
        assert "64 GiB of memory each, 0 bytes to" in flat
        assert "12 to each other and 3;" in flat
    if name == "256 in turns" and width == 80:
        assert "nodes 0-254:2" in flat
        assert "nodes 1,5-255:2" in flat


def test_a_picture_leaves_out_empty_nodes_and_says_so(tmp_path: Path) -> None:
    _, topology = read(MACHINES["parts of GPUs"], tmp_path)
    picture = compose(topology, lambda text, size, bold: len(text) * size * 0.65 / 72)
    texts = [label.text for label in picture.labels]
    titles = [one for one in texts if re.fullmatch(r"node \d+", one)]
    assert titles == [f"node {one}" for one in (0, 1, *GPU_NODES)]
    assert "28 nodes without memory and CPUs: 3-9, 11-17, 19-25, 27-33." in " ".join(texts)
    assert picture.curves  # few nodes are joined


def measure(text: str, size: float, bold: bool) -> float:
    return len(text) * size * (0.7 if bold else 0.65) / 72


def distances_of(picture: Picture) -> dict[tuple[int, int], int]:
    """Read the table of a picture back: ``#1 0-31`` heads a row, ``#1`` a column."""
    ways: dict[str, list[Label]] = {}
    for label in picture.labels:
        if re.fullmatch(r"#\d+", label.text):
            ways.setdefault(label.text, []).append(label)
    found: dict[tuple[int, int], int] = {}
    members: dict[str, list[int]] = {}
    for way, (_, row) in ways.items():
        beside = [one for one in picture.labels if one.area.x > row.area.right]
        name = min(beside, key=lambda one: (abs(one.area.y - row.area.y), one.area.x))
        members[way] = ids(name.text)
    for a, (_, row) in ways.items():
        for b, (column, _) in ways.items():
            (cell,) = (
                one
                for one in picture.labels
                if abs(middle(one)[0] - middle(column)[0]) < 0.1
                and abs(middle(one)[1] - middle(row)[1]) < 0.1
            )
            for i in members[a]:
                found |= {(i, j): 10 if i == j else int(cell.text) for j in members[b]}
    return found


def middle(label: Label) -> tuple[float, float]:
    return label.area.x + label.area.width / 2, label.area.y + label.area.height / 2


@pytest.mark.parametrize("name", ["64", "256", "256 in turns"])
def test_a_picture_of_very_many_nodes_groups_those_alike(name: str, tmp_path: Path) -> None:
    files = MACHINES.get(name) or machine(64, sockets_of(16))
    _, topology = read(files | pci.device("nvme", "nvme0n1", 3, 1), tmp_path)
    picture = compose(topology, measure)
    titles = [
        ids(one[1])
        for one in (re.fullmatch(r"nodes? ([-:\d,]+)", label.text) for label in picture.labels)
        if one
    ]
    assert sorted(node for some in titles for node in some) == list(range(topology.node_count))
    assert [3] in titles  # it has a disk
    assert len(titles) == {"64": 64, "256": 9, "256 in turns": 3}[name]
    texts = " ".join(label.text for label in picture.labels)
    assert ("Nodes that are alike share a card." in texts) is (name != "64")
    assert ("Nodes 0-6:2 are" in texts) is (name == "256 in turns")
    assert distances_of(picture) == matrix(topology)
    assert picture.width < 24
    for index, one in enumerate(picture.labels):
        for other in picture.labels[:index]:
            assert not one.area.overlaps(other.area), (one.text, other.text)


def test_few_empty_nodes_are_shown_like_any_other(tmp_path: Path) -> None:
    _, topology = read(machine(6, in_turns, frozenset((3, 4, 5))), tmp_path / "few")
    assert without_empty(topology) == (topology, "")
    _, topology = read(machine(6, in_turns, frozenset(range(6))), tmp_path / "all")
    assert without_empty(topology) == (topology, "")


class Matrix:
    """As much of a topology as distances need."""

    def __init__(self, rows: list[tuple[int, ...]]) -> None:
        self.distance_matrix = tuple(rows)


@given(st.lists(st.integers(0, 4), min_size=17, max_size=40), st.randoms(use_true_random=False))
def test_classes_say_all_distances(members: list[int], random: object) -> None:
    draw = random.randrange  # type: ignore[attr-defined]
    between = [[draw(11, 16) for _ in range(5)] for _ in range(5)]
    rows = [
        tuple(10 if i == j else between[a][b] for j, b in enumerate(members))
        for i, a in enumerate(members)
    ]
    classes = classes_of(Matrix(rows))  # type: ignore[arg-type]
    if classes is None:
        return
    assert sorted(i for some in classes for i in some) == list(range(len(rows)))
    for some in classes:
        for other in classes:
            found = {rows[i][j] for i in some for j in other if i != j}
            assert len(found) <= 1
    assert len(classes) <= len(set(members)) + 5

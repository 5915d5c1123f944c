"""``numapool topo``: cards on the screen, pictures in files, and JSON with the devices."""

from __future__ import annotations

import json
import math
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import pci, sysfs_tree
from support.optional import needed
from support.sysfs_tree import NODES
from typer.testing import CliRunner

import numapool as nump
from numapool.cli.app import app
from numapool.picture import render
from numapool.picture.machine import facts_of
from numapool.picture.many import without_empty
from numapool.picture.page import compose
from numapool.picture.shapes import Area, Box, Label, Picture


def topo(*arguments: str, **environment: str) -> str:
    """Run the command in this process; what it printed, which is all on standard output."""
    done = CliRunner().invoke(app, ["topo", *arguments], env={"COLUMNS": "80", **environment})
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    return done.stdout


def tree(name: str) -> dict[str, str]:
    """Return a captured machine, or one of these."""
    if name == "server with devices":
        files = sysfs_tree.machine("eight_sockets")
        for node in range(8):
            for slot in range(2 + node % 3 * 9):
                files |= pci.device("nvme", f"nvme{node * 30 + slot}n1", node, slot)
            files |= pci.device("net", f"enp{node}s0f0np0_with_a_long_name", node, 29)
            if node % 2:
                files |= pci.device("gpu", f"card{node}", node, 30)
        return files | pci.device("net", "eth$9$_é", -1, 31)
    if name == "64 nodes":
        files = {f"{NODES}/online": "0-63"}
        for a in range(64):
            row = (10 if a == b else 11 + (a * 7 + b) % 240 for b in range(64))
            files[f"{NODES}/node{a}/distance"] = " ".join(map(str, row))
            files[f"{NODES}/node{a}/cpulist"] = ",".join(str(a + 64 * k * k) for k in range(30))
        return files
    return sysfs_tree.machine(name)


MACHINES = [*sysfs_tree.names(), "server with devices", "64 nodes"]


def captured(name: str, tmp_path: Path) -> tuple[str, nump.NumaTopology]:
    """Return where a machine is, and the machine without nodes that are told of in a line."""
    root = sysfs_tree.write(tmp_path / name.replace(" ", "_"), tree(name))
    return str(root), without_empty(nump.NumaTopology.from_sysfs(root))[0]


def measure(text: str, size_pt: float, bold: bool) -> float:
    """Measure as matplotlib does where it is there, else as a wide font would."""
    try:
        from numapool.picture.render import _measure

        return _measure(text, size_pt, bold)
    except ImportError:
        return len(text) * size_pt * (0.69 if bold else 0.62) / 72


def texts(picture: Picture) -> str:
    return "\n".join(label.text for label in picture.labels)


def cards(picture: Picture, topology: nump.NumaTopology) -> dict[int, Area]:
    """Return the cards by node: of the boxes that hold a node's title, the smallest."""
    found = {}
    for node in topology.nodes:
        title = next(one for one in picture.labels if one.text == f"node {node.node_id}")
        around = [box.area for box in picture.boxes if box.area.holds(title.area)]
        found[node.node_id] = min(around, key=lambda area: area.width * area.height)
    return found


@pytest.mark.parametrize("name", MACHINES)
def test_nothing_overlaps_and_nothing_leaves_the_page(name: str, tmp_path: Path) -> None:
    _, topology = captured(name, tmp_path)
    picture = compose(topology, measure)
    page = Area(x=0, y=0, width=picture.width, height=picture.height)
    shapes: list[Box | Label] = [*picture.boxes, *picture.labels]
    for one in shapes:
        assert page.holds(one.area), one
    for curve in picture.curves:
        assert all(0 <= x <= page.width and 0 <= y <= page.height for x, y in curve.samples())
    labels = picture.labels
    for index, one in enumerate(labels):
        for other in labels[:index]:
            assert not one.area.overlaps(other.area), (one.text, other.text)
    by_node = cards(picture, topology)
    assert len(set(by_node.values())) == topology.node_count
    areas = list(by_node.values())
    for index, area in enumerate(areas):
        assert not any(area.overlaps(other) for other in areas[:index])
        # What touches a card is inside it, and no edge crosses it.
        assert all(area.holds(one.area) for one in labels if area.overlaps(one.area))
        inner = Area(
            x=area.x + 0.01, y=area.y + 0.01, width=area.width - 0.02, height=area.height - 0.02
        )
        for curve in picture.curves:
            for x, y in curve.samples():
                assert not (inner.x < x < inner.right and inner.y < y < inner.bottom)


@pytest.mark.parametrize("name", MACHINES)
def test_a_picture_says_what_the_topology_does(name: str, tmp_path: Path) -> None:
    _, topology = captured(name, tmp_path)
    picture = compose(topology, measure)
    by_node = cards(picture, topology)
    for facts in facts_of(topology):
        inside = [one.text for one in picture.labels if by_node[facts.node.node_id].holds(one.area)]
        words = " ".join(inside)
        assert facts.memory in words
        assert facts.cpus in words
        shown = re.search(rf"{facts.cpus}: ([-0-9:, …]+)", words)
        if facts.node.cpu_cores:
            assert shown
            ranges = ", ".join(facts.cpu_ranges)
            assert ranges.startswith(shown[1].strip().rstrip("…").rstrip(", "))
            assert "…" in shown[1] or shown[1].strip() == ranges
        assert facts.speed in words
        for names in facts.devices.values():
            left_out = sum(int(more) for more in re.findall(r"\+(\d+) more", words))
            hidden = [one for one in names if one not in inside and "…" not in words]
            assert len(hidden) <= left_out
    matrix = topology.distance_matrix
    count = len(matrix)
    if 1 < count <= 4:
        pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
        expected = sorted(
            str(matrix[i][j])
            if matrix[i][j] == matrix[j][i]
            else f"{matrix[i][j]} / {matrix[j][i]}"
            for i, j in pairs
        )
        assert sorted(one.text for one in picture.labels if one.ground) == expected
        assert len(picture.curves) == len(pairs)
    elif 4 < count <= 32:
        values = sorted(distance for row in matrix for distance in row)
        cells = [one for one in picture.labels if one.size_pt == 8 and inside_a_cell(one, picture)]
        assert sorted(int(one.text) for one in cells) == values


def inside_a_cell(label: Label, picture: Picture) -> bool:
    return any(
        box.area.holds(label.area) and math.isclose(box.area.width, box.area.height)
        for box in picture.boxes
    )


def test_edges_of_near_nodes_are_thicker_than_of_far_ones(tmp_path: Path) -> None:
    _, topology = captured("cxl", tmp_path)
    picture = compose(topology, measure)
    by_node = cards(picture, topology)

    def edge(a: int, b: int) -> Any:
        def touches(area: Area, x: float, y: float) -> bool:
            slack = 1e-6
            return (
                area.x - slack <= x <= area.right + slack
                and area.y - slack <= y <= area.bottom + slack
            )

        return next(
            one
            for one in picture.curves
            if {a, b}
            == {
                node
                for node, area in by_node.items()
                if touches(area, *one.points[0]) or touches(area, *one.points[3])
            }
        )

    order = sorted(((0, 2), (0, 1), (0, 3), (2, 3)), key=lambda pair: -edge(*pair).line_pt)
    assert [topology.distance(a, b) for a, b in order] == [14, 21, 24, 26]
    assert len({edge(*pair).color for pair in order}) == 4


def test_nodes_that_lack_something_are_dashed(tmp_path: Path) -> None:
    _, topology = captured("no_memory", tmp_path)
    picture = compose(topology, measure)
    by_node = cards(picture, topology)
    dashed = {
        node
        for node, area in by_node.items()
        if any(box.dashed for box in picture.boxes if box.area == area)
    }
    assert dashed == {1, 2}
    assert "no memory" in texts(picture)
    assert "no CPUs" in texts(picture)


def test_what_is_assumed_or_asymmetric_is_said(tmp_path: Path) -> None:
    said = {
        name: texts(compose(captured(name, tmp_path)[1], measure))
        for name in ("no_distance", "asymmetric", "two_socket", "cpuset", "interleaved_cpus")
    }
    assert [name for name in said if "assumed" in said[name]] == ["no_distance"]
    assert [name for name in said if "and back" in said[name]] == ["asymmetric"]
    assert [name for name in said if "not allowed" in said[name]] == ["cpuset"]
    assert [name for name in said if "0-6:2" in said[name]] == ["interleaved_cpus"]


@pytest.mark.parametrize("name", ["whole_machine_lazy", "two_socket", "server with devices"])
def test_files(name: str, tmp_path: Path) -> None:
    needed("matplotlib")
    root, topology = captured(name, tmp_path)
    picture = compose(topology, measure)
    svg, png = tmp_path / "out.svg", tmp_path / "out.PNG"
    assert topo("--sysfs", root, "--plot", str(svg)) == f"wrote {svg}\n"
    assert topo("--sysfs", root, "--plot", str(png)) == f"wrote {png}\n"
    drawn = ET.parse(svg).getroot()
    assert drawn.tag.endswith("svg")
    assert float(drawn.attrib["width"].removesuffix("pt")) == pytest.approx(picture.width * 72)
    size = png.read_bytes()
    assert size[:8] == b"\x89PNG\r\n\x1a\n"
    pixels = int.from_bytes(size[16:20]), int.from_bytes(size[20:24])
    assert pixels == pytest.approx((picture.width * 150, picture.height * 150), abs=1)
    before = svg.read_bytes()
    topo("--sysfs", root, "--plot", str(svg))
    assert svg.read_bytes() == before  # the same machine, the same file


def test_the_file_is_checked_before_the_machine_is_read(tmp_path: Path) -> None:
    for name in ("out.pdf", "out", "svg"):
        done = CliRunner().invoke(app, ["topo", "--sysfs", "/nowhere", "--plot", name])
        assert done.exit_code == 2
        assert re.search(r"must end in\s+\.svg\s+or\s+\.png", done.stderr)
    needed("matplotlib")
    done = CliRunner().invoke(app, ["topo", "--plot", str(tmp_path / "no" / "out.svg")])
    assert isinstance(done.exception, FileNotFoundError)


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = CliRunner().invoke(app, ["topo", "--plot", str(tmp_path / "out.svg")])
    assert isinstance(done.exception, nump.UnsupportedError)
    assert "pip install 'numapool[plot]'" in str(done.exception)
    assert "node " in topo()  # the screen needs none


@pytest.mark.parametrize("width", [40, 80, 140])
@pytest.mark.parametrize("name", MACHINES)
def test_screens_are_whole(name: str, width: int, tmp_path: Path) -> None:
    root, topology = captured(name, tmp_path)
    screen = topo("--sysfs", root, COLUMNS=str(width))
    assert max(map(len, screen.splitlines())) <= width
    assert "…" not in screen
    for node in topology.nodes:
        assert len(re.findall(rf"─ node {node.node_id}\b", screen)) == 1
    if width == 140 and topology.node_count <= 8:
        flat = " ".join(screen.split())
        for facts in facts_of(topology):
            assert facts.memory in flat
            for other in topology.nodes:
                if other.node_id != facts.node.node_id:
                    assert f"{topology.distance(facts.node.node_id, other.node_id)} to" in flat


def test_a_terminal_of_ascii(tmp_path: Path) -> None:
    root, _ = captured("two_socket", tmp_path)
    done = CliRunner(charset="ascii").invoke(app, ["topo", "--sysfs", root], env={"COLUMNS": "80"})
    assert done.exit_code == 0
    assert done.stdout.isascii()
    assert "21 to 1" in done.stdout


@pytest.mark.parametrize("name", ["two_socket", "cxl", "server with devices"])
def test_json(name: str, tmp_path: Path) -> None:
    root, topology = captured(name, tmp_path)
    document = json.loads(topo("--sysfs", root, "--json"))
    for node, one in zip(topology.nodes, document["nodes"], strict=True):
        assert one.pop("devices") == [device.to_dict() for device in node.local_devices]
    unknown = [device.to_dict() for device in topology.devices if device.node_id is None]
    assert document.pop("devices_of_unknown_node") == unknown
    assert document.pop("plot") is None
    assert document == {"version": nump.__version__, **topology.to_dict()}
    needed("matplotlib")
    picture = tmp_path / "out.svg"
    both = json.loads(topo("--sysfs", root, "--json", "--plot", str(picture)))
    assert both["plot"] == str(picture)
    assert picture.stat().st_size > 1000


def test_this_machine(tmp_path: Path) -> None:
    needed("matplotlib")
    picture = tmp_path / "here.svg"
    assert topo("--plot", str(picture))
    assert picture.stat().st_size > 1000
    assert "node " in topo()


def test_a_table_of_many_nodes_is_few_shapes(tmp_path: Path) -> None:
    """Not one for each of its cells: 256 nodes took a minute to draw."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    count = 64
    files = {f"{NODES}/online": f"0-{count - 1}"}
    for a in range(count):
        files[f"{NODES}/node{a}/cpulist"] = str(a)
        files[f"{NODES}/node{a}/distance"] = " ".join(
            "10" if a == b else str(11 + (a * 7 + b) % 240) for b in range(count)
        )
    topology = nump.NumaTopology.from_sysfs(sysfs_tree.write(tmp_path, files))
    picture = compose(topology, measure)
    assert len(picture.boxes) > count * count
    axes = Figure().add_axes((0.0, 0.0, 1.0, 1.0))
    before = set(axes.get_children())
    render._draw_boxes(axes, picture.boxes)
    added = [one for one in axes.get_children() if one not in before]
    paths = [one for one in added if isinstance(one, Patch)]
    assert len(added) == len(paths) < 4 * count
    assert sum(len(np.asarray(one.get_path().vertices)) for one in paths) >= 5 * count * count

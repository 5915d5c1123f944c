"""``numapool info``: screens that are whole on 80 columns, and JSON that says the same."""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import sysfs_tree
from support.sysfs_tree import NODES
from typer.testing import CliRunner

import numapool as nump
from numapool.cli.app import app
from numapool.picture.many import without_empty
from numapool.probes.capabilities import run_all
from numapool.probes.machine import Machine

MEMORY_FOLDER = Path("/sys/kernel/mm")


def info(*arguments: str, **environment: str) -> str:
    """Run the command in this process; what it printed, which is all on standard output."""
    done = CliRunner().invoke(app, ["info", *arguments], env={"COLUMNS": "80", **environment})
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    return done.stdout


def captured(name: str, tmp_path: Path) -> tuple[str, nump.NumaTopology]:
    root = sysfs_tree.write(tmp_path, sysfs_tree.machine(name))
    return str(root), nump.NumaTopology.from_sysfs(root)


def distances(screen: str) -> dict[tuple[int, int], int]:
    """Read the distances back from the table, or the tables below one another."""
    found: dict[tuple[int, int], int] = {}
    columns: list[int] = []
    table = screen.partition("\nDistances, ")[2].partition("\nNot read\n")[0]
    for line in table.splitlines()[1:]:
        if not line.strip():
            continue
        row, rule, cells = line.replace("|", "│").partition("│")
        assert rule
        if not row.strip():
            columns = [int(one) for one in cells.split()]
            continue
        values = [int(one) for one in cells.split()]
        found |= {(int(row), one): v for one, v in zip(columns, values, strict=True)}
    return found


def matrix(topology: nump.NumaTopology) -> dict[tuple[int, int], int]:
    ids = [node.node_id for node in topology.nodes]
    return {(a, b): topology.distance(a, b) for a in ids for b in ids} if len(ids) > 1 else {}


def cells(screen: str) -> list[list[str]]:
    """Read the rows of the table of nodes, wrapped ones joined, its heading first."""
    table = screen[screen.index("\nnode") :].strip().partition("\n\n")[0].splitlines()
    rows: list[list[str]] = []
    for line in [table[0], *table[2:]]:
        if line.startswith("CPUs") or "without memory and CPUs" in line:
            break
        parts = re.split(" {2,}", line.strip())
        if len(parts) == len(table[0].split()):
            rows.append(parts)
        else:
            assert len(parts) == 1  # only the CPUs go on in a further line
            rows[-1][3] += f" {parts[0]}"
    assert len(table) - 1 <= 3 * len(rows)  # what would go on for long is shown below
    return rows


def cpus(text: str) -> set[int]:
    """Read CPUs as taskset(1) does; no line of them may end inside a range."""
    assert not re.search(r"\d \d|\d[-:] | [-:]\d", text), text
    found: set[int] = set()
    for part in text.split(", ") if text != "-" else []:
        ids, _, step = part.partition(":")
        first, _, last = ids.partition("-")
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


def cpus_of(node: int, cell: str, screen: str) -> set[int]:
    """Read the CPUs of a node from the table, or from below it."""
    count, _, elsewhere = cell.partition(", ")
    if elsewhere != "below":
        return cpus(cell)
    below = screen.partition(f"\nCPUs of node {node}: ")[2]
    found = cpus(" ".join(re.split(r"\n(?![0-9])", below)[0].split()))
    assert len(found) == int(count)
    return found


def check(screen: str, topology: nump.NumaTopology, width: int = 80) -> None:
    """Check that nothing is cut off or broken, and that all is there."""
    assert max(map(len, screen.splitlines())) <= width
    assert "…" not in screen
    topology, left_out = without_empty(topology)
    assert left_out in " ".join(screen.split())
    heading, *rows = cells(screen)
    assert heading[:4] == ["node", "memory", "free", "CPUs"]
    assert heading[-1] == "usable"
    assert [int(row[0]) for row in rows] == [node.node_id for node in topology.nodes]
    for node, row in zip(topology.nodes, rows, strict=True):
        assert (row[-1] == "yes") is (node.node_id in topology.default_node_ids)
        assert (row[1] == "none") is (node.total_memory_bytes == 0)
        assert cpus_of(node.node_id, row[3], screen) == set(node.cpu_cores)
    assert distances(screen) == matrix(topology)


@pytest.mark.parametrize("name", sysfs_tree.names())
def test_screens_are_whole_on_80_columns(name: str, tmp_path: Path) -> None:
    root, topology = captured(name, tmp_path)
    check(info("--sysfs", root), topology)


@pytest.mark.parametrize(("own_kib", "figure"), [(1 << 20, "machine"), (1 << 23, "node")])
def test_whose_figure_the_memory_is(tmp_path: Path, own_kib: int, figure: str) -> None:
    """The kernel counts memory that it has not initialized for the machine alone."""
    files: dict[str, str | bytes] = {
        "proc/meminfo": f"MemTotal: {1 << 23} kB\nMemFree: {1 << 22} kB\n",
        f"{NODES}/online": "0\n",
        f"{NODES}/has_memory": "0\n",
        f"{NODES}/node0/cpulist": "0-3\n",
        f"{NODES}/node0/meminfo": f"Node 0 MemTotal: {own_kib} kB\nNode 0 MemFree: 1024 kB\n",
        f"{NODES}/node0/distance": "10\n",
    }
    root = str(sysfs_tree.write(tmp_path, files))
    document = json.loads(info("--sysfs", root, "--json"))
    assert document["nodes"][0]["total_memory_bytes"] == 8 << 30
    assert document["nodes"][0]["memory_figure"] == figure
    screen = info("--sysfs", root)
    check(screen, nump.NumaTopology.from_sysfs(root))
    told = "Memory of node 0: the machine's (/proc/meminfo)"
    assert (told in screen) is (figure == "machine")


# Half of a machine is offline, without any order.
SCATTERED = ",".join(str(cpu) for cpu in range(1000, 1200) if cpu * cpu % 7 in (1, 2))


def test_what_could_not_be_read_is_shown(tmp_path: Path) -> None:
    files = sysfs_tree.machine("cxl") | {
        f"{NODES}/node1/meminfo": "lots\n",
        f"{NODES}/node2/access0/initiators/read_latency": "slow\n",
    }
    root = str(sysfs_tree.write(tmp_path, files))
    topology = nump.NumaTopology.from_sysfs(root)
    screen = info("--sysfs", root, COLUMNS="300")
    rows = cells(screen)
    assert rows[2][1:3] == ["unknown", "unknown"]
    assert "at least" in screen.splitlines()[0]
    for note in topology.notes:
        assert note in screen.splitlines()
    document = json.loads(info("--sysfs", root, "--json"))
    assert document["notes"] == list(topology.notes)
    assert len(document["notes"]) == 2
    assert document["nodes"][1]["total_memory_bytes"] is None
    assert document["nodes"][1]["free_memory_bytes"] is None
    found = {one.name: one for one in run_all(Machine(root))}["node description"]
    assert found.available is False
    assert found.detail == "; ".join(topology.notes)


def test_many_notes_are_cut_short(tmp_path: Path) -> None:
    files = {f"{NODES}/online": "0-9\n"}
    files |= {f"{NODES}/node{node}/meminfo": "lots\n" for node in range(10)}
    root = str(sysfs_tree.write(tmp_path, files))
    assert info("--sysfs", root, COLUMNS="300").count("lots") == 8
    assert "and 2 more" in info("--sysfs", root)
    assert len(json.loads(info("--sysfs", root, "--json"))["notes"]) == 10


@pytest.mark.parametrize(
    "listed", [SCATTERED, "112-127,240-255", "0-1023,2048-3071", "1001-8189:4", "0,2,4,5"]
)
def test_lists_of_cpus_break_between_ranges(listed: str, tmp_path: Path) -> None:
    """In the widest table there is: with speeds and tiers, and a node that is not allowed."""
    if ":" in listed:
        listed = ",".join(map(str, sorted(cpus(listed))))
    root = sysfs_tree.write(
        tmp_path,
        {
            **sysfs_tree.machine("cxl"),
            f"{NODES}/node0/cpulist": listed,
            "proc/self/status": "Mems_allowed_list:\t1\n",
        },
    )
    check(info("--sysfs", str(root)), nump.NumaTopology.from_sysfs(root))


@pytest.mark.parametrize("width", [60, 80, 132])
@pytest.mark.parametrize("count", [12, 19, 20, 64])
def test_distances_of_many_nodes(count: int, width: int, tmp_path: Path) -> None:
    """More nodes than fit one table are shown in several, of one width but for the last."""
    files = {f"{NODES}/online": f"0-{count - 1}"}
    for a in range(count):
        row = " ".join("10" if a == b else str(11 + (a * 7 + b) % 240) for b in range(count))
        files[f"{NODES}/node{a}/distance"] = row
        files[f"{NODES}/node{a}/cpulist"] = f"{a * 8}-{a * 8 + 7}"
    root = sysfs_tree.write(tmp_path, files)
    screen = info("--sysfs", str(root), COLUMNS=str(width))
    check(screen, nump.NumaTopology.from_sysfs(root), width)


def test_speeds_and_tiers_are_shown_where_known(tmp_path: Path) -> None:
    root, _ = captured("cxl", tmp_path)
    heading, *rows = cells(info("--sysfs", root))
    assert heading[4:7] == ["tier", "latency", "bandwidth"]
    assert rows[0][4:7] == ["4", "85 ns", "215 GB/s"]
    assert rows[2][4:7] == ["22", "250 ns", "32.2 GB/s"]
    assert rows[3][4:7] == ["22", "-", "-"]
    root, _ = captured("hbm", tmp_path / "hbm")
    assert cells(info("--sysfs", root))[0][4:] == ["tier", "usable"]
    root, _ = captured("two_socket", tmp_path / "plain")
    assert cells(info("--sysfs", root))[0][4:] == ["usable"]


def test_what_a_process_may_use(tmp_path: Path) -> None:
    root, _ = captured("cpuset", tmp_path)
    screen = info("--sysfs", root)
    assert "Not NUMA for this process: 4 nodes, 16 CPUs, 3.8 GiB of memory" in screen
    assert "This process may use memory of node 2." in screen
    assert [row[-1] for row in cells(screen)[1:]] == ["not allowed"] * 2 + ["yes", "not allowed"]
    root, _ = captured("nothing_allowed", tmp_path / "none")
    assert "This process may use memory of no node." in info("--sysfs", root)


def test_distances_that_are_assumed_are_said_to_be(tmp_path: Path) -> None:
    for name, assumed in (("no_distance", True), ("two_socket", False)):
        root, _ = captured(name, tmp_path / name)
        assert ("assumed, the system gives none" in info("--sysfs", root)) is assumed


def test_far_is_another_colour_than_near(tmp_path: Path) -> None:
    root, _ = captured("eight_sockets", tmp_path)
    plain = info("--sysfs", root)
    coloured = info("--sysfs", root, FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[" not in plain
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in stripped.splitlines()] == [
        line.rstrip() for line in plain.splitlines()
    ]
    colours = {
        distance: set(re.findall(rf"\x1b\[([0-9;]*)m +{distance} +\x1b", coloured))
        for distance in (10, 16, 32, 48)
    }
    assert all(len(one) == 1 for one in colours.values())  # the same wherever it stands
    assert len(set.union(*colours.values())) == 4


def test_a_terminal_of_ascii(tmp_path: Path) -> None:
    root, topology = captured("asymmetric", tmp_path)
    done = CliRunner(charset="ascii").invoke(app, ["info", "--sysfs", root], env={"COLUMNS": "80"})
    assert done.exit_code == 0
    assert done.stdout.isascii()
    assert distances(done.stdout) == matrix(topology)


@pytest.mark.parametrize("name", sysfs_tree.names())
def test_json_says_what_the_topology_does(name: str, tmp_path: Path) -> None:
    root, topology = captured(name, tmp_path)
    document = json.loads(info("--json", "--sysfs", root))
    for node in document["nodes"]:
        free = node.pop("free_memory_bytes")
        lazy = name == "whole_machine_lazy" and node["node_id"] == 0
        assert node.pop("memory_figure") == ("machine" if lazy else "node")
        try:
            assert free == topology.node(node["node_id"]).free_memory_bytes()
        except OSError:
            assert free is None
    assert document == {"version": nump.__version__, **topology.to_dict()}


def thp_bytes() -> int | None:
    """Return the best size of transparent huge pages: up to 2 MiB; None where they are off."""
    folder = MEMORY_FOLDER / "transparent_hugepage"
    if not folder.is_dir():
        return None
    whole = int((folder / "hpage_pmd_size").read_text())
    for_all = (folder / "enabled").read_text()
    modes = {whole: for_all}
    for one in folder.glob("hugepages-*kB/enabled"):
        text = one.read_text()
        size = int(one.parent.name.removeprefix("hugepages-").removesuffix("kB")) << 10
        modes[size] = for_all if "[inherit]" in text else text
    on = [size for size, mode in modes.items() if "[never]" not in mode]
    small = [size for size in on if size <= 2 << 20]
    return max(small) if small else min(on, default=None)


def test_json_of_this_machine() -> None:
    document = json.loads(info("--json"))
    topology = nump.NumaTopology.detect()
    assert [node["node_id"] for node in document["nodes"]] == [n.node_id for n in topology.nodes]
    machine = document["machine"]
    assert machine["base_page_bytes"] == mmap.PAGESIZE
    assert machine["transparent_page_bytes"] == thp_bytes()
    assert machine["current_node"] in [node.node_id for node in topology.nodes]
    total = sum(node.total_memory_bytes or 0 for node in topology.nodes)
    assert 0 < machine["memory"]["available_bytes"] <= total
    folders = MEMORY_FOLDER.glob("hugepages/hugepages-*kB")
    assert {pool["page_bytes"]: pool["reserved_pages"] for pool in machine["hugetlb"]} == {
        int(folder.name.removeprefix("hugepages-").removesuffix("kB")) * 1024: int(
            (folder / "nr_hugepages").read_text()
        )
        for folder in folders
    }


def test_screen_of_this_machine(tmp_path: Path) -> None:
    screen = info()
    for fact in ("available memory", "base pages", "transparent huge pages", "hugetlb pages"):
        assert len(re.findall(rf"^{fact}  +\S", screen, re.MULTILINE)) == 1
    root, _ = captured("two_socket", tmp_path)
    assert "base pages" not in info("--sysfs", root)  # of this machine, no part of that one


def test_hugetlb_pages_that_are_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    pools = (
        SimpleNamespace(page_bytes=2 << 20, total_pages=512, free_pages=100),
        SimpleNamespace(page_bytes=1 << 30, total_pages=0, free_pages=0),
    )
    monkeypatch.setattr("numapool._core.hugetlb_pools", lambda: pools)
    screen = info()
    assert re.search(r"^hugetlb pages +2 MiB: 100 of 512 reserved are free *$", screen, re.M)
    assert re.search(r"^ +1 GiB: none reserved *$", screen, re.M)
    monkeypatch.setattr("numapool._core.hugetlb_pools", tuple)
    assert re.search(r"^hugetlb pages +not in this kernel *$", info(), re.M)

"""Trees that make no sense: an error that names the file and its text, never a crash."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import sysfs_tree

import numapool as nump

NODES = "sys/devices/system/node"
TWO = sysfs_tree.machine("two_socket")


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        (f"{NODES}/online", "0-", "is no list of node ids"),
        (f"{NODES}/online", "0-1024", "is no list of node ids"),
        (f"{NODES}/online", "zero", "'zero"),
        (f"{NODES}/node1/cpulist", "3-1", "is no list of CPUs"),
        (f"{NODES}/node1/cpulist", "0-99999999999", "is no list of CPUs"),
        (f"{NODES}/node0/meminfo", "Node 0 MemTotal: lots", "MemTotal"),
        (f"{NODES}/node0/meminfo", "Node 0 MemTotal: 99999999999999999999 kB", "MemTotal"),
        (f"{NODES}/node0/meminfo", "Node 0 MemTotal: 1000 MB", "MemTotal"),
        (f"{NODES}/node0/distance", "10", "columns"),
        (f"{NODES}/node0/distance", "10 20 30", "columns"),
        (f"{NODES}/node0/distance", "10 -5", "is no row of distances"),
        (f"{NODES}/node0/distance", "10 2O", "is no row of distances"),
        (f"{NODES}/node0/access0/initiators/read_latency", "fast", "is no number"),
        ("sys/devices/virtual/memory_tiering/memory_tier4/nodelist", "a", "is no list of node ids"),
        ("proc/self/status", "Mems_allowed_list:\t0-x\n", "is no list of node ids"),
    ],
)
def test_names_the_file_and_the_text(path: str, text: str, says: str, tmp_path: Path) -> None:
    root = sysfs_tree.write(tmp_path, {**TWO, path: text})
    with pytest.raises(nump.TopologyError) as caught:
        nump.NumaTopology.from_sysfs(root)
    message = str(caught.value)
    assert str(root / path) in message
    assert says in message
    assert text.split()[-1].removeprefix("Mems_allowed_list:") in message


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        nump.NumaTopology.from_sysfs(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="null"):
        nump.NumaTopology.from_sysfs("a\0b")


def test_a_folder_that_is_no_machine(tmp_path: Path) -> None:
    with pytest.raises(nump.TopologyError, match="holds none of"):
        nump.NumaTopology.from_sysfs(tmp_path)


def test_a_file_that_is_a_folder_is_missing(tmp_path: Path) -> None:
    files = {path: text for path, text in TWO.items() if not path.endswith("distance")}
    root = sysfs_tree.write(tmp_path, {**files, f"{NODES}/node0/distance/": ""})
    assert nump.NumaTopology.from_sysfs(root).distances_assumed


def test_links_that_go_round(tmp_path: Path) -> None:
    files = {path: text for path, text in TWO.items() if "/node1/" not in path}
    root = sysfs_tree.write(tmp_path, {**files, f"{NODES}/node1 -> node1": ""})
    topo = nump.NumaTopology.from_sysfs(root)
    assert topo.node(1).total_memory_bytes == 0
    assert topo.node(1).cpu_cores == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads what it likes")
def test_a_file_that_may_not_be_read_is_missing(tmp_path: Path) -> None:
    root = sysfs_tree.write(tmp_path, TWO)
    (root / NODES / "node0/distance").chmod(0)
    assert nump.NumaTopology.from_sysfs(root).distances_assumed


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    root = sysfs_tree.write(tmp_path, {**TWO, f"{NODES}/online": b"\xff\xfe\x00\x01"})
    with pytest.raises(nump.TopologyError, match="online"):
        nump.NumaTopology.from_sysfs(root)


def parse_list(text: str, largest: int) -> list[int] | None:
    """A list of ids as the kernel prints them, read the plain way; None for anything else."""
    ids: set[int] = set()
    for part in text.split(",") if text else []:
        ends = part.split("-")
        if len(ends) > 2 or not all(end.isascii() and end.isdigit() for end in ends):
            return None
        first, last = int(ends[0]), int(ends[-1])
        if first > last or last > largest:
            return None
        ids.update(range(first, last + 1))
    return sorted(ids)


LISTS = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, 40)).map(
        lambda pair: f"{pair[0]}-{pair[0] + pair[1]}" if pair[1] else str(pair[0])
    ),
    max_size=6,
).map(",".join)
NEARLY_LISTS = st.text(alphabet="0123456789-, x", max_size=12).map(str.strip)


@pytest.fixture(scope="module")
def one_node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{NODES}/online": "0\n", f"{NODES}/node0/meminfo": "Node 0 MemTotal: 1 kB\n"}
    return sysfs_tree.write(tmp_path_factory.mktemp("one_node"), files)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.one_of(LISTS, NEARLY_LISTS))
def test_lists_are_read_as_the_kernel_means_them(text: str, one_node: Path) -> None:
    (one_node / NODES / "node0/cpulist").write_text(text + "\n")
    (one_node / NODES / "node0/cpumap").unlink(missing_ok=True)
    expected = parse_list(text, 65535)
    if expected is None:
        with pytest.raises(nump.TopologyError, match="cpulist"):
            nump.NumaTopology.from_sysfs(one_node)
    else:
        assert list(nump.NumaTopology.from_sysfs(one_node).node(0).cpu_cores) == expected


@settings(deadline=None)
@given(cpus=st.sets(st.integers(0, 300), max_size=20))
def test_masks_are_read_as_the_kernel_prints_them(cpus: set[int], one_node: Path) -> None:
    (one_node / NODES / "node0/cpulist").unlink(missing_ok=True)
    mask = sum(1 << cpu for cpu in cpus)
    groups = [f"{mask >> shift & 0xFFFFFFFF:08x}" for shift in range(288, -1, -32)]
    (one_node / NODES / "node0/cpumap").write_text(",".join(groups) + "\n")
    assert set(nump.NumaTopology.from_sysfs(one_node).node(0).cpu_cores) == cpus


FILES = sorted(path for path in TWO if not path.endswith("/"))


@settings(deadline=None, max_examples=300)
@given(
    path=st.sampled_from(FILES),
    content=st.one_of(
        st.binary(max_size=64),
        st.text(alphabet="0123456789-,: kBMemTotalFree\n", max_size=80).map(str.encode),
    ),
)
def test_no_content_of_any_file_crashes(
    path: str, content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = sysfs_tree.write(tmp_path_factory.mktemp("fuzz"), {**TWO, path: content})
    try:
        topo = nump.NumaTopology.from_sysfs(root)
    except nump.TopologyError as error:
        assert str(root / path) in str(error)
        return
    json.dumps(topo.to_dict())
    for node in topo.nodes:
        with contextlib.suppress(OSError, nump.TopologyError):
            node.free_memory_bytes()

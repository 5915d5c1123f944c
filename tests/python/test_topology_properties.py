"""The parsers of sysfs files beside plain ones in Python, and trees of random content."""

from __future__ import annotations

import json
import pickle
import re
import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import sysfs_tree
from support.sysfs_tree import NODES

import numapool as nump

LARGEST_CPU, LARGEST_NODE = 65535, 1023


def parse_list(text: str, largest: int) -> list[int] | None:
    """A list of ids as the kernel prints them, read the plain way; None for anything else."""
    ids: set[int] = set()
    text = text.strip(" \t\r\n\0")
    for part in text.split(",") if text else []:
        ends = part.split("-")
        if len(ends) > 2 or not all(re.fullmatch("[0-9]+", end) for end in ends):
            return None
        first, last = int(ends[0]), int(ends[-1])
        if first > last or last > largest:
            return None
        ids.update(range(first, last + 1))
    return sorted(ids)


def parse_mask(text: str) -> list[int] | None:
    """A mask of ids as the kernel prints them, the same way."""
    text = text.strip(" \t\r\n\0")
    groups = text.split(",") if text else []
    if not all(re.fullmatch("[0-9a-fA-F]{1,8}", group) for group in groups):
        return None
    bits = int("".join(group.zfill(8) for group in groups) or "0", 16)
    ids = [bit for bit in range(bits.bit_length()) if bits >> bit & 1]
    return ids if not ids or ids[-1] <= LARGEST_CPU else None


def parse_row(text: str, columns: int) -> tuple[int, ...] | None:
    """A row of distances, a blank after each but the last; None for anything else."""
    text = text.strip(" \t\r\n\0")
    if not re.fullmatch("[0-9]+([ \t][ \t\r\n\0]*[0-9]+)*", text):
        return None
    row = tuple(map(int, text.split()))
    return row if len(row) == columns and min(row) >= 10 and max(row) < 2**31 else None


def lists(largest: int) -> st.SearchStrategy[str]:
    """Texts that are lists, and texts that nearly are."""
    ids = st.integers(0, largest + 2)
    parts = st.one_of(
        ids.map(str),
        st.tuples(ids, st.integers(-2, 40)).map(lambda pair: f"{pair[0]}-{max(sum(pair), 0)}"),
    )
    return st.one_of(
        st.lists(parts, max_size=6).map(",".join),
        st.text(alphabet="0123456789-, x\t\n", max_size=12),
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{NODES}/online": "0\n", f"{NODES}/node0/meminfo": "Node 0 MemTotal: 1 kB\n"}
    return sysfs_tree.write(tmp_path_factory.mktemp("one_node"), files)


def cpus_of(root: Path, file: str, text: str) -> list[int] | None:
    """Read the CPUs of a node whose `file` holds `text`; None where it makes no sense."""
    folder = root / NODES / "node0"
    for name in ("cpulist", "cpumap"):
        (folder / name).unlink(missing_ok=True)
    (folder / file).write_text(text)
    try:
        return list(nump.NumaTopology.from_sysfs(root, strict=True).node(0).cpu_cores)
    except nump.TopologyError as error:
        assert str(folder / file) in str(error)
        return None


@settings(deadline=None)
@given(text=lists(LARGEST_CPU))
@example(text="0-65535")
@example(text="65536")
@example(text="007,7-7")
@example(text="5-5,4,3,3-5,")
def test_lists_of_cpus(text: str, root: Path) -> None:
    assert cpus_of(root, "cpulist", text) == parse_list(text, LARGEST_CPU)


@settings(deadline=None)
@given(ids=st.sets(st.integers(0, 300), max_size=20), upper=st.booleans())
def test_masks_as_the_kernel_prints_them(ids: set[int], upper: bool, root: Path) -> None:
    bits = sum(1 << one for one in ids)
    groups = [f"{bits >> shift & 0xFFFFFFFF:08x}" for shift in range(288, -1, -32)]
    text = ",".join(groups)
    assert cpus_of(root, "cpumap", (text.upper() if upper else text) + "\n") == sorted(ids)


@settings(deadline=None)
@given(
    text=st.one_of(
        st.lists(st.text(alphabet=string.hexdigits, min_size=1, max_size=9), max_size=6).map(
            ",".join
        ),
        st.text(alphabet="0123456789abcdef,-+xg \n", max_size=12),
    )
)
@example(text="-1")
@example(text="0x1")
@example(text="+1")
def test_masks_of_any_text(text: str, root: Path) -> None:
    assert cpus_of(root, "cpumap", text) == parse_mask(text)


@settings(deadline=None)
@given(online=lists(LARGEST_NODE), allowed=lists(LARGEST_NODE))
def test_lists_of_nodes(
    online: str, allowed: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nodes without a folder are there, and have nothing."""
    allowed = " ".join(allowed.splitlines())
    root = sysfs_tree.write(
        tmp_path_factory.mktemp("nodes"),
        {
            f"{NODES}/online": online,
            f"{NODES}/node7/": "",
            "proc/self/status": f"Name:\tx\nMems_allowed_list:\t{allowed}\nThreads:\t1\n",
        },
    )
    ids, may = parse_list(online, LARGEST_NODE), parse_list(allowed, LARGEST_NODE)
    if ids is None or not may:
        with pytest.raises(nump.TopologyError, match="online" if ids is None else "status"):
            nump.NumaTopology.from_sysfs(root, strict=True)
    topo = nump.NumaTopology.from_sysfs(root)
    there = ids or [7]  # no list: the folders
    assert [node.node_id for node in topo.nodes] == there
    assert topo.allowed_node_ids == tuple(sorted(set(there) & set(may or there)))
    wrong = [note for note in topo.notes if note.startswith("cannot make sense of")]
    assert len(wrong) == (ids is None) + (not may)


@settings(deadline=None)
@given(
    text=st.one_of(
        st.lists(st.integers(0, 300), max_size=4).map(lambda row: " ".join(map(str, row))),
        st.text(alphabet="0123456789 -,x\t\n", max_size=10),
    )
)
@example(text="10 2147483648")
@example(text="10\t20")
@example(text="-0 20")
def test_rows_of_distances(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = sysfs_tree.write(
        tmp_path_factory.mktemp("distances"),
        {f"{NODES}/online": "0-1", f"{NODES}/node0/distance": text, f"{NODES}/node1/": ""},
    )
    expected = parse_row(text, 2)
    if not text.strip():
        expected = (10, 20)  # assumed
    if expected is None:
        with pytest.raises(nump.TopologyError, match="node0/distance"):
            nump.NumaTopology.from_sysfs(root, strict=True)
        assert nump.NumaTopology.from_sysfs(root).distance_matrix == ((10, 20), (20, 10))
    else:
        assert nump.NumaTopology.from_sysfs(root).distance_matrix[0] == expected


# A machine that has every kind of file.
EVERYTHING = {
    **sysfs_tree.machine("masks"),
    **sysfs_tree.machine("no_node_folder"),
    **sysfs_tree.machine("cxl"),
    "proc/self/status": "Mems_allowed_list:\t0-3\n",
}
FILES = sorted(path for path in EVERYTHING if not path.endswith("/"))
CONTENT = st.one_of(
    st.none(),  # no such file
    st.just("folder"),
    st.binary(max_size=64),
    st.text(alphabet="0123456789-, kB:MemTotalFree\n", max_size=80).map(str.encode),
    st.sampled_from([text.encode() for text in EVERYTHING.values()]),
)


@settings(deadline=None, max_examples=300)
@given(changed=st.dictionaries(st.sampled_from(FILES), CONTENT, min_size=1, max_size=5))
def test_no_tree_crashes(changed: dict[str, bytes | str | None]) -> None:
    """Whatever the files hold, it is a machine in itself consistent; notes name what is not."""
    files: dict[str, str | bytes] = {**EVERYTHING}
    for path, content in changed.items():
        del files[path]
        if content == "folder":
            files[f"{path}/"] = ""
        elif content is not None:
            files[path] = content
    with tempfile.TemporaryDirectory() as name:
        root = sysfs_tree.write(Path(name), files)
        topo = nump.NumaTopology.from_sysfs(root)
        wrong = [note for note in topo.notes if note.startswith("cannot make sense of")]
        for note in wrong:
            named = re.search(f"{re.escape(name)}/([^:]*): '", note)
            assert named, note
            assert named[1] in files, note
        if wrong:
            with pytest.raises(nump.TopologyError) as caught:
                nump.NumaTopology.from_sysfs(root, strict=True)
            assert wrong[0].startswith(str(caught.value))
        else:
            assert nump.NumaTopology.from_sysfs(root, strict=True) == topo
        ids = [node.node_id for node in topo.nodes]
        assert ids == sorted(set(ids)) != []
        assert [len(row) for row in topo.distance_matrix] == [len(ids)] * len(ids)
        assert set(topo.allowed_node_ids) <= set(ids)
        assert pickle.loads(pickle.dumps(topo)) == topo
        assert json.loads(json.dumps(topo.to_dict()))["nodes"][0]["node_id"] == ids[0]
        for node in topo.nodes:
            assert set(topo.nearest(node.node_id)) <= set(topo.allowed_node_ids)
            try:
                assert node.free_memory_bytes() >= 0
            except (nump.TopologyError, OSError) as error:
                assert name in str(error)

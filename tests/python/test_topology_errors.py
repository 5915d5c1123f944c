"""Trees that make no sense: an error that names the file and its text, or a note of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import sysfs_tree
from support.sysfs_tree import NODES

import numapool as nump

TIERS = "sys/devices/virtual/memory_tiering"
SPEED = f"{NODES}/node2/access0/initiators"

# Each kind of file: the machine that has it, and what is said of one that makes no sense.
KINDS = {
    f"{NODES}/online": ("cxl", "is not a list of node ids"),
    f"{NODES}/node1/cpulist": ("cxl", "is not a list of CPUs"),
    f"{NODES}/node1/cpumap": ("masks", "is no mask of CPUs"),
    f"{NODES}/node1/meminfo": ("cxl", "has no MemTotal in kB"),
    f"{NODES}/node1/distance": ("cxl", "is no row of distances"),
    f"{SPEED}/read_latency": ("cxl", "is not a number"),
    f"{SPEED}/write_latency": ("cxl", "is not a number"),
    f"{SPEED}/read_bandwidth": ("cxl", "is not a number"),
    f"{SPEED}/write_bandwidth": ("cxl", "is not a number"),
    f"{TIERS}/memory_tier22/nodelist": ("cxl", "is not a list of node ids"),
    "proc/self/status": ("two_socket", "is not a list of node ids"),
    "sys/devices/system/cpu/online": ("no_node_folder", "is not a list of CPUs"),
    "sys/devices/system/cpu/present": ("present_cpus_only", "is not a list of CPUs"),
    "proc/meminfo": ("no_node_folder", "has no MemTotal in kB"),
}


def _whole(name: str, tmp_path: Path) -> Path:
    return sysfs_tree.write(tmp_path / "whole", sysfs_tree.machine(name))


def message_for(name: str, path: str, content: bytes, tmp_path: Path) -> str:
    files = sysfs_tree.machine(name)
    assert path in files
    root = sysfs_tree.write(tmp_path, {**files, path: content})
    with pytest.raises(nump.TopologyError) as caught:
        nump.NumaTopology.from_sysfs(root, strict=True)
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    # Unless it is to be strict, the machine is read without the attribute.
    topo = nump.NumaTopology.from_sysfs(root)
    assert any(note.startswith(f"{message}; ") for note in topo.notes)
    assert topo.node_count == nump.NumaTopology.from_sysfs(_whole(name, tmp_path)).node_count
    assert f"cannot make sense of {root / path}: '" in message
    return message


@pytest.mark.parametrize(
    ("garbage", "quoted"),
    [
        (b"wh@t?", "wh@t?"),
        (b"\xff\xfe\x00\x01\x1b[2J", "????"),
        (b"0x10", "0x10"),
        (b"-1", "-1"),
        (b"<html>\n<body>\n", "<html>\\n<body>\\n"),
        (b"4" * 5000, "4" * 80 + "..."),
    ],
    ids=["words", "bytes", "hexadecimal", "negative", "lines", "endless"],
)
@pytest.mark.parametrize("path", KINDS)
def test_garbage_in_each_kind_of_file(
    path: str, garbage: bytes, quoted: str, tmp_path: Path
) -> None:
    name, says = KINDS[path]
    if path == "proc/self/status":
        message = message_for(name, path, b"Name:\tx\nMems_allowed_list:\t" + garbage, tmp_path)
        quoted = quoted.removesuffix("<body>\\n").removesuffix("\\n")  # the line alone
    else:
        message = message_for(name, path, garbage, tmp_path)
    assert quoted.removesuffix("...")[:40] in message
    assert message.endswith(says)
    assert message.isprintable()


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        (f"{NODES}/online", "0-", "is not a list of node ids"),  # cut short
        (f"{NODES}/online", "0-3,", "is not a list of node ids"),
        (f"{NODES}/online", "0--3", "is not a list of node ids"),
        (f"{NODES}/online", "0,,3", "is not a list of node ids"),
        (f"{NODES}/online", "0 1", "is not a list of node ids"),
        (f"{NODES}/online", "0-1024", "is not a list of node ids"),  # past CONFIG_NODES_SHIFT
        (f"{NODES}/node1/cpulist", "3-1", "is not a list of CPUs"),
        (f"{NODES}/node1/cpulist", "0-7:2", "is not a list of CPUs"),
        (f"{NODES}/node1/cpulist", "0-65536", "is not a list of CPUs"),
        (f"{NODES}/node1/cpulist", "0-99999999999999999999", "is not a list of CPUs"),
        (f"{NODES}/node1/meminfo", "Node 1 MemTotal:       655", "has no MemTotal in kB"),
        (f"{NODES}/node1/meminfo", "Node 1 MemTotal: 1000 MB", "has no MemTotal in kB"),
        (f"{NODES}/node1/meminfo", "Node 1 MemTotal:", "has no MemTotal in kB"),
        (f"{NODES}/node1/meminfo", "Node 1 MemFree: 1000 kB", "has no MemTotal in kB"),
        (f"{NODES}/node1/meminfo", "Node 1 NotMemTotal: 1000 kB", "has no MemTotal in kB"),
        # 2**64 bytes, and one kB less, which fits
        (f"{NODES}/node1/meminfo", f"Node 1 MemTotal: {2**54} kB", "has no MemTotal in kB"),
        (f"{NODES}/node1/distance", "21 10 24", "has 3 columns, not one for each of the 4 nodes"),
        (f"{NODES}/node1/distance", "21 10 24 14 19", "has 5 columns, not one for each of the 4"),
        (f"{NODES}/node1/distance", "21 10 24 -14", "is no row of distances"),
        (f"{NODES}/node1/distance", "21 10 24 1O", "is no row of distances"),
        (f"{NODES}/node1/distance", "21 10 24 9", "is no row of distances"),  # ACPI: reserved
        (f"{NODES}/node1/distance", "21,10,24,14", "is no row of distances"),
        (f"{NODES}/node1/distance", f"21 10 24 {2**31}", "is no row of distances"),
        (f"{SPEED}/read_latency", "250 ns", "is not a number"),
        (f"{SPEED}/read_latency", "2.5", "is not a number"),
        (f"{SPEED}/read_latency", str(2**64), "is not a number"),
        (f"{TIERS}/memory_tier4/nodelist", "0-", "is not a list of node ids"),
    ],
)
def test_values_that_are_nearly_right(path: str, text: str, says: str, tmp_path: Path) -> None:
    message = message_for("cxl", path, text.encode(), tmp_path)
    assert f"'{text}' {says}" in message


def test_values_at_the_edge(tmp_path: Path) -> None:
    at_edge = {
        f"{NODES}/node1/cpulist": "65535",
        f"{NODES}/node1/meminfo": f"Node 1 MemTotal: {2**54 - 1} kB",
        f"{NODES}/node1/distance": f"10 10 255 {2**31 - 1}",
        f"{SPEED}/read_bandwidth": str(2**44),  # 2**64 bytes/s: more than can be said
        f"{SPEED}/write_bandwidth": str(2**44 - 1),
    }
    root = sysfs_tree.write(tmp_path, {**sysfs_tree.machine("cxl"), **at_edge})
    topo = nump.NumaTopology.from_sysfs(root, strict=True)
    assert topo.node(1).cpu_cores == (65535,)
    assert topo.node(1).total_memory_bytes == 2**64 - 1024
    assert topo.distance_matrix[1] == (10, 10, 255, 2**31 - 1)
    assert topo.node(2).read_bandwidth_bytes_s is None
    assert topo.node(2).write_bandwidth_bytes_s == 2**64 - 2**20


def test_masks_past_the_last_cpu(tmp_path: Path) -> None:
    path = f"{NODES}/node1/cpumap"
    for text in ("100000000", "0,,1", ",1", "1,"):
        message = message_for("masks", path, text.encode(), tmp_path / text)
        assert message.endswith("is no mask of CPUs")
    groups = b"1," + b",".join([b"00000000"] * 2048)  # CPU 65536
    message_for("masks", path, groups, tmp_path / "long")


def test_a_file_without_end_is_no_list(tmp_path: Path) -> None:
    """Reading stops at 1 MiB, perhaps inside a number: none of it is believed."""
    path = f"{NODES}/node1/cpulist"
    text = b"1," * (1 << 19) + b"1"
    assert len(text) > 1 << 20
    assert message_for("cxl", path, text, tmp_path).endswith("is not a list of CPUs")


@pytest.mark.parametrize("root", ["nowhere", "file"])
def test_no_such_folder(root: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=root) as caught:
        nump.NumaTopology.from_sysfs(tmp_path / root)
    expected = FileNotFoundError if root == "nowhere" else NotADirectoryError
    assert caught.type is expected


def test_a_null_character() -> None:
    with pytest.raises(ValueError, match="null"):
        nump.NumaTopology.from_sysfs("a\0b")


def test_a_folder_that_is_no_machine(tmp_path: Path) -> None:
    with pytest.raises(nump.TopologyError, match="holds none of") as caught:
        nump.NumaTopology.from_sysfs(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_root_with_any_name(tmp_path: Path) -> None:
    for name in ("with blank", "日本", os.fsdecode(b"\xff\xfe")):
        root = sysfs_tree.write(tmp_path / name, sysfs_tree.machine("two_socket"))
        assert nump.NumaTopology.from_sysfs(root).node_count == 2
        assert nump.NumaTopology.from_sysfs(str(root)).node(0).free_memory_bytes() > 0


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder that anyone may read, with all that a test makes in it. Root's rights come back."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        mask = os.umask(0o022)  # what a test makes in it is to be read by anyone too
        try:
            yield folder
        finally:
            os.umask(mask)
            if os.getuid() == 0:
                os.seteuid(0)


def drop_privilege() -> None:
    if os.getuid() == 0:
        os.seteuid(65534)


# In place of a file: what from_sysfs takes as the file missing.
STAND_INS = ["folder", "loop", "dangling", "unreadable", "fifo"]


@pytest.mark.parametrize("stand_in", STAND_INS)
@pytest.mark.parametrize("path", [path for path, (name, _) in KINDS.items() if name == "cxl"])
def test_what_cannot_be_read_is_missing(path: str, stand_in: str, unprivileged: Path) -> None:
    files = sysfs_tree.machine("cxl")
    missing = sysfs_tree.write(
        unprivileged / "missing", {one: text for one, text in files.items() if one != path}
    )
    root = sysfs_tree.write(unprivileged / "other", files)
    place = root / path
    if stand_in == "unreadable":
        place.chmod(0)
    else:
        place.unlink()
    match stand_in:
        case "folder":
            place.mkdir()
        case "loop":
            place.symlink_to(place.name)
        case "dangling":
            place.symlink_to("nowhere")
        case "fifo":
            os.mkfifo(place)  # not waited for
    drop_privilege()
    if stand_in == "unreadable":
        with pytest.raises(PermissionError):
            place.read_text()
    assert sysfs_tree.describe(nump.NumaTopology.from_sysfs(root)) == sysfs_tree.describe(
        nump.NumaTopology.from_sysfs(missing)
    )


@pytest.mark.parametrize("folder", [NODES, f"{NODES}/node1", TIERS, f"{NODES}/node2/access0"])
@pytest.mark.parametrize("stand_in", ["file", "loop", "unreadable"])
def test_a_folder_that_cannot_be_read_is_missing(
    folder: str, stand_in: str, unprivileged: Path
) -> None:
    files = {
        **sysfs_tree.machine("cxl"),
        "proc/meminfo": "MemTotal: 4000 kB\n",
        f"{NODES}/has_memory": "0-3\n",
    }
    missing = sysfs_tree.write(
        unprivileged / "missing",
        {one: text for one, text in files.items() if not one.startswith(f"{folder}/")},
    )
    if stand_in == "unreadable":
        root = sysfs_tree.write(unprivileged / "other", files)
        (root / folder).chmod(0)
    else:
        kept = {one: text for one, text in files.items() if not one.startswith(f"{folder}/")}
        name = folder if stand_in == "file" else f"{folder} -> {Path(folder).name}"
        root = sysfs_tree.write(unprivileged / "other", {**kept, name: "0\n"})
    drop_privilege()
    assert sysfs_tree.describe(nump.NumaTopology.from_sysfs(root)) == sysfs_tree.describe(
        nump.NumaTopology.from_sysfs(missing)
    )


def test_links_are_followed(tmp_path: Path) -> None:
    files = sysfs_tree.machine("two_socket")
    files = {path.replace("/node1/", "/../node1_away/"): text for path, text in files.items()}
    root = sysfs_tree.write(tmp_path, {**files, f"{NODES}/node1 -> ../node1_away": ""})
    topo = nump.NumaTopology.from_sysfs(root)
    assert sysfs_tree.describe(topo) == sysfs_tree.expected("two_socket")

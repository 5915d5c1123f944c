"""Machines as text: a ``.tree`` file says what a machine is, and lists its files.

A line ``== PATH`` begins a file, ``== PATH/`` an empty folder, ``== PATH -> TARGET`` a symbolic
link. What follows, up to the next such line, is the file's text. The first line of all describes
the machine; the indented ones below it are what is to be read from it, as :func:`describe` writes
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from numapool import NumaTopology

MACHINES = Path(__file__).parents[2] / "fixtures" / "sysfs"
NODES = "sys/devices/system/node"


def parse(text: str) -> dict[str, str]:
    """Return what the text of a tree holds, by path; folders end with a slash."""
    files: dict[str, str] = {}
    lines: list[str] | None = None
    path = ""
    for line in [*text.splitlines(), "== "]:
        if not line.startswith("== "):
            if lines is not None:
                lines.append(line)
            continue
        if lines is not None:
            files[path] = "".join(f"{one}\n" for one in lines)
        path, lines = line.removeprefix("== ").strip(), []
    return files


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the files of a tree below `root`, and return it."""
    for path, content in files.items():
        name, _, target = path.partition(" -> ")
        place = root / name
        if path.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if target:
            place.symlink_to(target)
        elif isinstance(content, bytes):
            place.write_bytes(content)
        else:
            place.write_text(content)
    return root


def _text(name: str) -> str:
    return (MACHINES / f"{name}.tree").read_text()


def machine(name: str) -> dict[str, str]:
    """Return the files of a captured or made-up machine."""
    return parse(_text(name))


def names() -> list[str]:
    """Return the names of all machines."""
    return sorted(path.stem for path in MACHINES.glob("*.tree"))


def expected(name: str) -> list[str]:
    """Return what is to be read from a machine."""
    head = _text(name).partition("\n== ")[0]
    return [line.strip() for line in head.splitlines() if line.startswith(" ")]


def describe(topology: NumaTopology) -> list[str]:
    """Write all that a topology says, a line for each node."""
    lines = []
    for node, row in zip(topology.nodes, topology.distance_matrix, strict=True):
        parts = [
            f"node {node.node_id}: {_kib(node.total_memory_bytes)}",
            f"CPUs {_ranges(node.cpu_cores)}",
            f"distances {' '.join(map(str, row))}",
        ]
        if node.memory_tier is not None:
            parts.append(f"tier {node.memory_tier}")
        for what, figures, unit in (
            ("latency", (node.read_latency_ns, node.write_latency_ns), "ns"),
            ("bandwidth", (node.read_bandwidth_bytes_s, node.write_bandwidth_bytes_s), "bytes/s"),
        ):
            if figures != (None, None):
                parts.append(f"{what} {figures[0]} and {figures[1]} {unit}")
        if node.kind not in ("dram", "unknown"):
            parts.append(f"kind {node.kind}")
        lines.append(", ".join(parts))
    lines.append(f"allowed {_ranges(topology.allowed_node_ids)}")
    usable = set(topology.nearest(topology.nodes[0].node_id))
    if set(topology.default_node_ids) != usable:
        lines.append(f"default {_ranges(topology.default_node_ids)}")
    if topology.distances_assumed:
        lines.append("distances assumed")
    return lines


def _kib(size_bytes: int | None) -> str:
    return "unknown memory" if size_bytes is None else f"{size_bytes / 1024:.0f} kB"


def _ranges(ids: tuple[int, ...]) -> str:
    ends = [one for one in ids if one + 1 not in ids]
    starts = [one for one in ids if one - 1 not in ids]
    pairs = zip(starts, ends, strict=True)
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in pairs) or "none"

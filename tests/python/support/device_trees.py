"""Machines with devices: trees like those of :mod:`support.sysfs_tree`, on a two-socket server.

Indented lines at the beginning say what is to be found: ``PATH: NODE = LEG@NODE ...``, where an
unknown node is ``unknown`` and ``?``; or ``PATH: no such``.
"""

from __future__ import annotations

from pathlib import Path

from numapool import DeviceLocality, NumaTopology, device_locality
from support import sysfs_tree

FOLDER = Path(__file__).parents[2] / "fixtures" / "devices"


def _text(name: str) -> str:
    return (FOLDER / f"{name}.tree").read_text()


def names() -> list[str]:
    """Return the names of all trees."""
    return sorted(path.stem for path in FOLDER.glob("*.tree"))


def files(name: str) -> dict[str, str]:
    """Return the files of a tree, with the nodes they need."""
    nodes = sysfs_tree.machine("two_socket") | {"sys/devices/system/node/has_cpu": "0-1\n"}
    return nodes | sysfs_tree.parse(_text(name))


def write(root: Path, name: str) -> NumaTopology:
    """Write a tree below `root`, and read its topology."""
    return NumaTopology.from_sysfs(sysfs_tree.write(root, files(name)))


def expected() -> list[tuple[str, str, str]]:
    """Return what is to be found in all trees: (tree, path, what)."""
    found = []
    for name in names():
        head = _text(name).partition("\n== ")[0]
        for line in head.splitlines():
            if line.startswith(" "):
                path, _, what = line.strip().partition(": ")
                found.append((name, path, what))
    return found


def found(path: str, topology: NumaTopology) -> str:
    """Write what is found, as the trees say it."""
    try:
        return describe(device_locality(path, topology))
    except FileNotFoundError:
        return "no such"


def describe(locality: DeviceLocality) -> str:
    """Write the node and the legs."""
    legs = " ".join(
        f"{leg.name}@{'?' if leg.node_id is None else leg.node_id}" for leg in locality.legs
    )
    node = "unknown" if locality.node_id is None else locality.node_id
    return f"{node} = {legs}".strip()

"""Machines of any number of nodes, for code that looks at the topology."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import SupportsIndex

from numapool.base import arguments
from numapool.base.units import ids_text
from numapool.machine.topology import NumaTopology

_NODES = "sys/devices/system/node"
_MOST_NODES = 1024
_LOCAL, _MOST_DISTANCE = 10, 254


def fake_topology(
    nodes: SupportsIndex = 2,
    *,
    cpus_per_node: SupportsIndex = 2,
    memory_bytes: arguments.SizeLike = 16 << 30,
    distance: SupportsIndex = 20,
    memory_only: Sequence[SupportsIndex] = (),
) -> NumaTopology:
    """Return the topology of a machine that does not exist, for code that takes one or asks for it.

    It can be looked at like any other: nodes, CPUs, distances, ``nearest``, ``to_dict``. Memory
    cannot be allocated on it: allocators use the nodes of the machine they run on, unless the nodes
    are there as well. Where your code calls ``numapool.current_topology()``, have it return this
    one: ``monkeypatch.setattr(numapool, "current_topology", lambda: topology)``.

    Parameters
    ----------
    nodes : int
        How many nodes, from 1 to 1024; their ids are 0 and up.
    cpus_per_node : int
        CPUs of each node.
    memory_bytes : int or str
        Memory of each node. Half of it is free.
    distance : int
        Between any two nodes, from 11 to 254; 10 is local.
    memory_only : sequence of int
        Nodes without CPUs, such as memory of CXL devices.

    Raises
    ------
    ValueError
        A number that is out of range.
    """
    count = arguments.at_least("nodes", nodes, 1)
    cpus = arguments.at_least("cpus_per_node", cpus_per_node, 0)
    size = arguments.size_at_least("memory_bytes", memory_bytes, 0)
    far = arguments.integer("distance", distance)
    if count > _MOST_NODES:
        raise ValueError(arguments.must_be("nodes", f"at most {_MOST_NODES}", nodes))
    if not _LOCAL < far <= _MOST_DISTANCE:
        raise ValueError(arguments.must_be("distance", "from 11 to 254", distance))
    without_cpus = set(arguments.nodes("memory_only", memory_only)) if memory_only else set()
    if not without_cpus <= set(range(count)):
        raise ValueError(arguments.must_be("memory_only", f"nodes below {count}", memory_only))
    root = Path(tempfile.mkdtemp(prefix="numapool-fake-"))
    try:
        _write(root / _NODES, count, cpus, size, far, without_cpus)
        topology = NumaTopology.from_sysfs(root)
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    weakref.finalize(topology, shutil.rmtree, root, ignore_errors=True)
    return topology


def _write(
    folder: Path, count: int, cpus: int, size: int, far: int, without_cpus: set[int]
) -> None:
    folder.mkdir(parents=True)
    every = ids_text(range(count))
    for name in ("online", "has_memory", "has_normal_memory", "possible"):
        (folder / name).write_text(f"{every}\n")
    first = 0
    for node in range(count):
        own = range(first, first + (0 if node in without_cpus else cpus))
        first += len(own)
        place = folder / f"node{node}"
        place.mkdir()
        row = (str(_LOCAL if other == node else far) for other in range(count))
        (place / "distance").write_text(" ".join(row) + "\n")
        (place / "cpulist").write_text((ids_text(own) if own else "") + "\n")
        (place / "meminfo").write_text(
            f"Node {node} MemTotal: {size // 1024} kB\nNode {node} MemFree: {size // 2048} kB\n"
        )

"""Machines of many nodes: empty nodes in a line, long lists, sizes and distances told together."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from numapool.base.units import cpus_text, ids_text, size_text
from numapool.machine.topology import NumaTopology

#: Fewer empty nodes than this are shown like any other.
_LEAST_EMPTY = 4
#: Up to so many nodes each has a row, or a card, of its own.
MOST_SINGLE = 64
#: Of a machine of fewer nodes all distances are shown.
_MOST_DISTANCES = 16
#: What is said of sizes that nobody tells.
UNKNOWN = "unknown"
_LONG_LIST = 24  # characters
#: For whom a screen has such a stride.
STRIDES = "Nodes 0-6:2 are 0, 2, 4 and 6."
_MOST_KINDS = 16  # of distances: with more, nodes are hardly alike


def without_empty(topology: NumaTopology, keep: Collection[int] = ()) -> tuple[NumaTopology, str]:
    """Leave out the nodes without memory and CPUs where they are many.

    A GPU that may be parted has such nodes for its parts.

    Parameters
    ----------
    topology : NumaTopology
    keep : collection of int
        Nodes to show in any case.

    Returns
    -------
    tuple
        The machine with the other nodes alone, and a line that tells of those left out.
    """
    empty = [
        node.node_id
        for node in topology.nodes
        if node.total_memory_bytes == 0 and not node.cpu_cores and node.node_id not in keep
    ]
    if not _LEAST_EMPTY <= len(empty) < topology.node_count:
        return topology, ""
    shown = [node.node_id for node in topology.nodes if node.node_id not in set(empty)]
    line = f"{len(empty)} nodes without memory and CPUs: {ids_text(empty, ', ')}"
    return topology._with_only(shown), line


def classes_of(topology: NumaTopology) -> list[list[int]] | None:
    """Return classes of nodes that are as far from all others, and from one another.

    Returns
    -------
    list of list of int or None
        Places in the topology's nodes; None where distances are few, or the classes too many.
    """
    matrix = topology.distance_matrix
    count = len(matrix)
    if count <= _MOST_DISTANCES:
        return None
    distances = sorted({distance for row in matrix for distance in row})
    columns = list(zip(*matrix, strict=True))
    class_of: dict[int, list[int]] = {}
    for inside in distances if len(distances) <= _MOST_KINDS else ():
        # Two nodes at this distance are alike if their rows, and their columns, agree once each is
        # as far from itself as from the other.
        alike: dict[object, list[int]] = {}
        for i in range(count):
            if i not in class_of and inside in matrix[i]:
                row, column = ((*one[:i], inside, *one[i + 1 :]) for one in (matrix[i], columns[i]))
                alike.setdefault((row, column, matrix[i][i]), []).append(i)
        class_of |= {i: some for some in alike.values() if len(some) > 1 for i in some}
    classes = [class_of.get(i, [i]) for i in range(count) if class_of.get(i, [i])[0] == i]
    return classes if 2 * len(classes) <= count else None


def listed(ids: Iterable[int]) -> str:
    """Write ids of nodes, with strides (``0-254:2``) where the list would be long without."""
    some = list(ids)
    text = ids_text(some)
    return text if len(text) <= _LONG_LIST else cpus_text(some).replace(", ", ",")


def range_text(sizes: Iterable[int | None]) -> str:
    """Write the smallest and the largest of some sizes."""
    known = [size for size in sizes if size is not None]
    if not known:
        return UNKNOWN
    least, most = size_text(min(known)), size_text(max(known))
    return least if least == most else f"{least} to {most}"

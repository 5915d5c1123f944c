"""Which node stands where: two rows with room for the edges between them, or a plain grid."""

from __future__ import annotations

from numapool.machine.topology import NumaTopology

#: With more nodes than this no edges are drawn, and the nodes stand in a grid.
MOST_WITH_EDGES = 16
_WIDEST_PLAIN = 4


def grid_of(count: int, columns: int = 8) -> list[list[int]]:
    """Return the rows of a plain grid of so many cards."""
    firsts = range(0, count, columns)
    return [list(range(first, min(first + columns, count))) for first in firsts]


def rows_of(topology: NumaTopology) -> list[list[int]]:
    """Return the rows, top first, each a list of indices into the topology's nodes."""
    count = topology.node_count
    if count > MOST_WITH_EDGES:
        return grid_of(count)
    if count <= 2:
        return [list(range(count))]
    half = -(-count // 2)
    with_cpus = [i for i, node in enumerate(topology.nodes) if node.cpu_cores]
    without = [i for i, node in enumerate(topology.nodes) if not node.cpu_cores]
    if with_cpus and without and max(len(with_cpus), len(without)) <= max(half, _WIDEST_PLAIN):
        # Memory alone below the CPUs that it is nearest to.
        matrix = topology.distance_matrix
        nearest = {
            i: min(range(len(with_cpus)), key=lambda k: matrix[with_cpus[k]][i]) for i in without
        }
        return [with_cpus, sorted(without, key=lambda i: (nearest[i], i))]
    return [list(range(half)), list(range(half, count))]


def pairs_of(topology: NumaTopology, with_all: int) -> list[tuple[int, int]]:
    """Return the pairs to draw an edge for: all of few nodes; of many, each node's nearest ones."""
    count, matrix = topology.node_count, topology.distance_matrix
    if count > MOST_WITH_EDGES:
        return []
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    if count <= with_all:
        return pairs
    least = [min(d for j, d in enumerate(row) if j != i) for i, row in enumerate(matrix)]
    return [(i, j) for i, j in pairs if matrix[i][j] == least[i] or matrix[j][i] == least[j]]

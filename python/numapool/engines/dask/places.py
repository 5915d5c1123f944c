"""Places for a Dask cluster's workers: what each node gives them, and which is taken next."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from numapool.machine.topology import NumaTopology


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker has: a node, threads, and a limit on its memory in bytes."""

    node: int
    nthreads: int
    memory_limit: int


class Places:
    """The places of a cluster.

    Parameters
    ----------
    by_node : list of Place
        What one worker has on each node.
    per_node : int
        How many workers a node has places for.
    """

    def __init__(self, by_node: list[Place], per_node: int) -> None:
        self.nodes = tuple(place.node for place in by_node)
        self.per_node = per_node
        # First one on each node, then a second one on each, and so on.
        self._by_name = {
            f"node{place.node}" + (f"-{number}" if per_node > 1 else ""): place
            for number in range(per_node)
            for place in by_node
        }

    def __len__(self) -> int:
        return len(self._by_name)

    def next_to(self, taken: Collection[str]) -> tuple[str, Place]:
        """Return the name and the place of the next worker, on a node with the fewest.

        Raises
        ------
        ValueError
            All places are taken.
        """
        for name, place in self._by_name.items():
            if name not in taken:
                return name, place
        raise ValueError(f"there are workers at all places already: {', '.join(self._by_name)}")

    def enough(self, memory: int, threads: int) -> int:
        """Return how many workers have so much memory and so many threads; at most all."""
        count = 0
        for place in self._by_name.values():
            if memory <= 0 and threads <= 0:
                break
            memory -= place.memory_limit
            threads -= place.nthreads
            count += 1
        return count


def memory_by_node(nodes: list[int], topology: NumaTopology, limit: int) -> dict[int, int]:
    """Return how much memory there is for workers on each node, in bytes.

    Parameters
    ----------
    nodes : list of int
        Those without memory of their own share that of the nearest node.
    topology : NumaTopology
    limit : int
        What this process may use at most (its cgroup). If the nodes have more together, the part of
        each is smaller by as much.
    """
    sources = {node: (topology.nearest(node) or (node,))[0] for node in nodes}
    totals = {one: topology.node(one).total_memory_bytes for one in set(sources.values())}
    known = {one: total for one, total in totals.items() if total is not None}
    if len(known) < len(totals):  # the system does not tell: all nodes alike
        return dict.fromkeys(nodes, limit // len(nodes))
    scale = min(1.0, limit / max(1, sum(known.values())))
    users = list(sources.values())
    return {
        node: int(known[source] * scale) // users.count(source) for node, source in sources.items()
    }

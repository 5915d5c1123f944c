"""A NumPy pipeline with one executor per node: each part of the data stays where it is worked on.

Run it as ``python examples/numpy_pipeline.py``. The data is cut into parts; each part is made by a
thread of a node, and from then on only that node's threads work on it, so that the arrays of every
stage, the temporaries of their expressions included, live beside the CPUs that read and write them.
What travels between the nodes is one small array per part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack

import numpy as np
import numpy.typing as npt

import numapool as nump

Array = npt.NDArray[np.float64]

ROWS, COLUMNS, PARTS = 4096, 64, 8  # 2 MiB for each part


def make_part(number: int) -> Array:
    """Stand for reading a part of the data: rows of measurements."""
    return np.random.default_rng(number).normal(float(number), 2.0, (ROWS, COLUMNS))


def moments(part: Array) -> Array:
    """Return the count, sums and sums of squares of the columns."""
    return np.stack([np.full(COLUMNS, float(len(part))), part.sum(0), (part * part).sum(0)])


def standardized(part: Array, mean: Array, deviation: Array) -> Array:
    """Return the part with the mean and the deviation of all data taken out."""
    return (part - mean) / deviation


def covariance(part: Array) -> Array:
    """Return the part's sums of the products of all pairs of columns."""
    products: Array = part.T @ part
    return products


class Pipeline:
    """Runs each stage of the work where its part of the data is.

    Parameters
    ----------
    executors : mapping of int to NodeExecutor
        By node; parts are dealt to the nodes in turn.
    """

    def __init__(self, executors: Mapping[int, nump.NodeExecutor]) -> None:
        self._executors = tuple(executors.values())

    def map(self, work: Callable[..., Array], parts: Sequence[object], *rest: Array) -> list[Array]:
        """Call ``work(part, *rest)`` for all parts at once, each on the node of its number."""
        futures: list[Future[Array]] = [
            self._executors[number % len(self._executors)].submit(work, part, *rest)
            for number, part in enumerate(parts)
        ]
        return [future.result() for future in futures]


def node_of(array: Array) -> int | None:
    """Return the node that NumPy was told to put the array on; None for NumPy's own allocator."""
    name = str(np._core.multiarray.get_handler_name(array))  # type: ignore[attr-defined]
    return int(name.removeprefix("numapool_node")) if name.startswith("numapool_node") else None


def main() -> None:
    """Standardize the columns of all parts, and print how far they are from independent."""
    topology = nump.NumaTopology.detect()
    with ExitStack() as stack:
        executors = {
            node.node_id: stack.enter_context(nump.NodeExecutor(node.node_id, topology=topology))
            for node in topology.nodes
            if node.cpu_cores and node.node_id in topology.allowed_node_ids
        }
        pipeline = Pipeline(executors)
        parts = pipeline.map(make_part, range(PARTS))
        count, total, squares = np.sum(pipeline.map(moments, parts), axis=0)
        mean = total / count
        deviation = np.sqrt(squares / count - mean * mean)
        parts = pipeline.map(standardized, parts, mean, deviation)
        correlation = np.sum(pipeline.map(covariance, parts), axis=0) / count[0]
        off_diagonal = np.abs(correlation - np.eye(COLUMNS))
        print(f"{int(count[0])} rows in {PARTS} parts on {len(executors)} node(s)")
        print(f"parts by node: {sorted(str(node_of(part)) for part in parts)}")
        print(f"columns have deviation 1 to within {np.abs(np.diag(correlation) - 1).max():.1e}")
        print(f"strongest correlation of two columns: {off_diagonal.max():.3f}")


if __name__ == "__main__":
    main()

"""PyTorch on nodes: tensors, workers of a DataLoader, and page-locked memory for GPUs.

Loaded only by its users: it needs PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Unpack

import torch

from numapool.arrays import creation
from numapool.arrays.pinned_pool import PinnedCounts, PinnedPool
from numapool.base import arguments
from numapool.machine.node_set import NodesLike, nodes_of
from numapool.memory.migration import migrate
from numapool.processes.binding import nodes_with_cpus
from numapool.threads.running import bind_process

__all__ = ["PinnedCounts", "PinnedPool", "empty", "from_numpy", "worker_init", "zeros"]


def empty(
    shape: creation.Shape,
    dtype: torch.dtype | None = None,
    **options: Unpack[creation.ArrayOptions],
) -> torch.Tensor:
    """Make a tensor on a node, without setting its elements.

    The memory lives as long as the tensor or any view of it.

    Parameters
    ----------
    shape : int or iterable of int
        The tensor's shape.
    dtype : torch.dtype, optional
        The type; by default PyTorch's own default.
    **options
        ``node``, ``pool``, ``strict`` and others, as for :func:`numapool.empty`.

    Raises
    ------
    TypeError
        `dtype` is no type of PyTorch.
    ValueError, MemoryError, NodeNotFoundError, PlacementError, UnsupportedError
        As for :func:`numapool.empty`.
    """
    return _made_of(creation.empty, shape, dtype, options)


def zeros(
    shape: creation.Shape,
    dtype: torch.dtype | None = None,
    **options: Unpack[creation.ArrayOptions],
) -> torch.Tensor:
    """Make a tensor of zeros on a node. Parameters and errors as for :func:`empty`."""
    return _made_of(creation.zeros, shape, dtype, options)


def _made_of(
    make: Callable[..., Any],
    shape: creation.Shape,
    dtype: torch.dtype | None,
    options: creation.ArrayOptions,
) -> torch.Tensor:
    kind = torch.get_default_dtype() if dtype is None else dtype
    if not isinstance(kind, torch.dtype):
        raise TypeError(arguments.must_be("dtype", "a torch.dtype or None", dtype))
    dimensions = creation._dimensions(shape)
    nbytes = math.prod(dimensions) * kind.itemsize
    memory = make(nbytes, "uint8", **options)
    if nbytes == 0:
        return torch.empty(dimensions, dtype=kind)
    # By bytes: PyTorch has types that NumPy lacks, such as bfloat16.
    return torch.from_numpy(memory).view(kind).view(dimensions)


def from_numpy(array: Any, *, node: NodesLike | None = None) -> torch.Tensor:
    """Return a tensor of an array's memory, which has been moved to a node.

    Nothing is copied: the array and the tensor have the same addresses as before, and the pages
    behind them are moved (:func:`numapool.migrate`).

    Parameters
    ----------
    array : numpy.ndarray
        Any array that :func:`torch.from_numpy` takes, whoever has made it.
    node : NodesLike, optional
        The node; by default the pages stay where they are. Of several nodes, the one that
        :func:`numapool.migrate` chooses.

    Raises
    ------
    TypeError, ValueError
        As for :func:`torch.from_numpy`.
    NodeNotFoundError, UnsupportedError, BufferError
        As for :func:`numapool.migrate`.
    """
    tensor = torch.from_numpy(array)
    if node is not None and array.nbytes:
        migrate(array, node)
    return tensor


def worker_init(nodes: NodesLike | None = None) -> Callable[[int], None]:
    """Return a ``worker_init_fn`` for a DataLoader, which puts its workers on nodes in turns.

    Each worker's threads run on its node's CPUs, and its memory comes from there first, from then
    on. What the worker has allocated before stays where it is: to have all of it on one node, start
    the workers inside :class:`numapool.children_on`.

    Parameters
    ----------
    nodes : NodesLike, optional
        The nodes; by default those with CPUs that this process may use. Worker 0 gets the first,
        worker 1 the second, and so on.

    Raises
    ------
    NodeNotFoundError
        The machine has no such node.
    ValueError
        There is no node.
    """
    wanted = nodes_with_cpus() if nodes is None else nodes_of("nodes", nodes)
    if not wanted:
        raise ValueError("nodes must name at least one node")
    return _WorkerInit(tuple(wanted))


class _WorkerInit:
    """Binds the worker that it is called in; pickled into it, where that is started by spawn."""

    def __init__(self, nodes: tuple[int, ...]) -> None:
        self._nodes = nodes

    def __call__(self, worker_id: int) -> None:
        bind_process(self._nodes[worker_id % len(self._nodes)])

    def __repr__(self) -> str:
        return f"numapool.arrays.torch.worker_init({list(self._nodes)})"

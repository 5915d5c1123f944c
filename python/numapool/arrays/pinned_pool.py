"""A pool of page-locked memory on a GPU's node, for tensors that the GPU reads itself."""

from __future__ import annotations

import contextlib
import math
import os
import weakref
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self, SupportsIndex

import torch

from numapool._core import NodeBuffer
from numapool.arrays import creation
from numapool.arrays.cuda_driver import CudaDevice
from numapool.base import arguments
from numapool.base.locks import Rank, new_lock
from numapool.base.units import ids_text
from numapool.base.warn_once import warn_once
from numapool.machine.device_search import device_node
from numapool.machine.node_set import NodeSet, NodesLike, wanted_of
from numapool.machine.topology import current_topology
from numapool.memory.allocator import NumaAllocator

_LEAST_BYTES = 64 << 10  # also the largest base page
_DEVICE = "a GPU: its number, or 'cuda:1'"
_STEPS = 16  # sizes of blocks between two powers of two: at most a sixteenth of one is unused


@dataclass(frozen=True, kw_only=True, slots=True)
class PinnedCounts:
    """The counts and sizes of a :class:`PinnedPool`.

    Attributes
    ----------
    hits, misses : int
        Tensors that got a block that was page-locked already, and those that needed a new one.
    in_use_bytes, retained_bytes : int
        Page-locked bytes that tensors have, and those that are kept for others.
    """

    hits: int
    misses: int
    in_use_bytes: int
    retained_bytes: int


class _Block:
    """Memory that is page-locked, from when it is made to :meth:`free`."""

    __slots__ = ("buffer", "pinned")

    def __init__(self, gpu: CudaDevice, buffer: NodeBuffer) -> None:
        self.buffer = buffer
        self.pinned = buffer.pin()
        try:
            gpu.register(self.pinned.address, self.pinned.nbytes)
        except BaseException:
            self.pinned.release()
            buffer.close()
            raise

    def free(self, gpu: CudaDevice) -> None:
        """Unlock the memory; it goes with the buffer, of which an array may be just ending."""
        gpu.unregister(self.pinned.address)
        self.pinned.release()


class _Blocks:
    """The blocks of a pool. Tensors keep it alive, so that blocks come back to a pool that is gone.

    A tensor may go at any moment, in any thread, also in one that has the lock: what happens then
    takes none, and each of its steps is one operation of a set or a queue.
    """

    def __init__(self, gpu: CudaDevice, retain_bytes: float) -> None:
        self.gpu = gpu
        self.retain_bytes = retain_bytes
        self.owner = os.getpid()
        self.closed = False
        self.out: set[_Block] = set()
        self.back: deque[_Block] = deque()
        self.free: dict[int, list[_Block]] = {}
        self.retained = 0

    def give_back(self, block: _Block) -> None:
        """Take a block whose tensor is gone; nothing in a forked child, which cannot use CUDA."""
        if os.getpid() != self.owner:
            return
        self.out.discard(block)
        self.back.append(block)
        if self.closed:
            self._free_what_came_back()

    def sort(self) -> None:
        """Keep the blocks that have come back, as far as the pool may."""
        while self.back and not self.closed:
            block = self.back.popleft()
            self.retained += len(block.buffer)
            self.free.setdefault(len(block.buffer), []).append(block)
        self.release(self.retain_bytes)

    def release(self, keep_bytes: float) -> int:
        """Free the largest blocks first, until no more than so many bytes are left."""
        freed = 0
        for size in sorted(self.free, reverse=True):
            while self.free[size] and self.retained > keep_bytes:
                self.free[size].pop().free(self.gpu)
                self.retained -= size
                freed += size
        return freed

    def close(self) -> None:
        """Free all, now and as tensors go."""
        if os.getpid() == self.owner:
            self.closed = True
            self.release(0)
            self._free_what_came_back()

    def _free_what_came_back(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self.back.popleft().free(self.gpu)


class PinnedPool:
    """Lends page-locked memory on the node of a GPU, as tensors.

    A GPU copies to and from page-locked memory by itself. The driver locks a block when the pool
    first makes it, which takes about as long as to touch every page; a tensor that gets the block
    again has nothing to wait for. PyTorch knows such tensors as pinned (``tensor.is_pinned()``),
    and copies them with ``non_blocking=True``. When the last tensor in a block is gone, the block
    goes back to the pool.

    Not run on a GPU yet: it was tested with a stand-in for the driver's library.

    Safe to use from many threads. A forked child may read tensors of its parent, but has no pool:
    it cannot use CUDA either.

    Parameters
    ----------
    device : int, str or torch.device
        The GPU: its number among those that ``CUDA_VISIBLE_DEVICES`` leaves, or ``"cuda:1"``.
    node : NodesLike, optional
        Another node than the GPU's, or several: memory comes from the nearest to the calling
        thread, or what else there is of them.
    retain_bytes : int or str, optional
        The most to keep for other tensors; by default all.

    Raises
    ------
    UnsupportedError
        There is no CUDA driver, or no such GPU.
    ValueError
        `device` is no GPU.

    Warns
    -----
    PlacementWarning
        Once per GPU: its node is unknown. Its memory comes from the calling thread's then.
    """

    def __init__(
        self,
        device: SupportsIndex | str | torch.device = 0,
        *,
        node: NodesLike | None = None,
        retain_bytes: arguments.SizeLike | None = None,
    ) -> None:
        retained = (
            math.inf
            if retain_bytes is None
            else arguments.size_at_least("retain_bytes", retain_bytes, 0)
        )
        ordinal = _ordinal(device)
        wanted = wanted_of("node", node)
        gpu = CudaDevice(ordinal)
        if not wanted and (found := _node_of(gpu, ordinal)) is not None:
            wanted = [found]
        self._nodes = tuple(wanted)
        self._allocator = NumaAllocator()
        self._lock = new_lock(Rank.POOL)
        self._hits = self._misses = 0
        self._blocks = _Blocks(gpu, retained)
        weakref.finalize(self, self._blocks.close).atexit = False

    @property
    def node_id(self) -> int | None:
        """The node that memory comes from first; None where it is the calling thread's.

        Of several nodes, the one with the lowest id.
        """
        return self._nodes[0] if self._nodes else None

    @property
    def node_ids(self) -> tuple[int, ...]:
        """Every node that memory comes from first, ascending."""
        return self._nodes

    @property
    def closed(self) -> bool:
        """Whether the pool was closed."""
        return self._blocks.closed

    def empty(self, shape: creation.Shape, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Make a tensor in page-locked memory, whose elements are not set.

        Parameters
        ----------
        shape : int or iterable of int
            The tensor's shape.
        dtype : torch.dtype, optional
            The type; by default PyTorch's own default.

        Raises
        ------
        ValueError
            The pool is closed.
        MemoryError
            There is no memory, or the driver cannot lock it.
        """
        kind = torch.get_default_dtype() if dtype is None else dtype
        if not isinstance(kind, torch.dtype):
            raise TypeError(arguments.must_be("dtype", "a torch.dtype or None", dtype))
        dimensions = creation._dimensions(shape)
        nbytes = math.prod(dimensions) * kind.itemsize
        if nbytes == 0:
            return torch.empty(dimensions, dtype=kind)
        block = self._take(block_bytes(nbytes))
        view = block.buffer.as_array("uint8", (nbytes,))
        # The tensor keeps this view alive, and nothing else does.
        weakref.finalize(view, self._blocks.give_back, block).atexit = False
        return torch.from_numpy(view).view(kind).view(dimensions)

    def statistics(self) -> PinnedCounts:
        """Return the pool's counts and sizes."""
        with self._lock:
            self._blocks.sort()
            return PinnedCounts(
                hits=self._hits,
                misses=self._misses,
                in_use_bytes=sum(len(block.buffer) for block in self._blocks.out.copy()),
                retained_bytes=self._blocks.retained,
            )

    def trim(self) -> int:
        """Unlock the blocks that no tensor has, give them to the system, and return their bytes."""
        with self._lock:
            self._blocks.sort()
            return self._blocks.release(0)

    def close(self) -> None:
        """Free the blocks that no tensor has; the others follow as tensors go. Idempotent."""
        with self._lock:
            self._blocks.close()

    def _take(self, size: int) -> _Block:
        blocks = self._blocks
        with self._lock:
            if blocks.closed:
                raise ValueError("the pool is closed")
            if os.getpid() != blocks.owner:
                raise ValueError("the pool is the parent process's: a child cannot use CUDA")
            blocks.sort()
            if found := blocks.free.get(size):
                block = found.pop()
                blocks.retained -= size
                self._hits += 1
            else:
                where = NodeSet(self._nodes) if self._nodes else None
                block = _Block(blocks.gpu, self._allocator.allocate(size, where))
                self._misses += 1
            blocks.out.add(block)
            return block

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        several = "s" if len(self._nodes) > 1 else ""
        ids = f"node{several} {ids_text(self._nodes)}"
        where = ids if self._nodes else "the calling thread's node"
        return f"<PinnedPool on {where}{', closed' if self.closed else ''}>"


def block_bytes(nbytes: int) -> int:
    """Return the size of the block for so many bytes."""
    step = max(_LEAST_BYTES, (1 << (nbytes - 1).bit_length()) // (2 * _STEPS))
    return -(-nbytes // step) * step


def _ordinal(device: SupportsIndex | str | torch.device) -> int:
    """Return the number of a GPU."""
    if not isinstance(device, str | torch.device):
        return arguments.at_least("device", device, 0, _DEVICE)
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ValueError(arguments.must_be("device", _DEVICE, device)) from None
    if found.type != "cuda":
        raise ValueError(arguments.must_be("device", _DEVICE, str(device)))
    return 0 if found.index is None else int(found.index)


def _node_of(gpu: CudaDevice, ordinal: int) -> int | None:
    """Return a GPU's node; None, with one warning, where it is not known."""
    address = gpu.pci_address()
    node = None
    with contextlib.suppress(OSError, ValueError):  # a container may not see it
        node = device_node(address) if address is not None else None
    if node is None and len(current_topology().nodes) > 1:
        warn_once(
            f"node of CUDA device {address}",
            f"the node of CUDA device {ordinal} ({address}) is unknown: its page-locked memory "
            "comes from the node of the calling thread. Say where it is by node=",
            3,
        )
    return node

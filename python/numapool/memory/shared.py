"""Memory on a node that several processes use without a copy."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import re
import secrets
import sys
from multiprocessing import reduction
from pathlib import Path
from typing import Any, Self, SupportsIndex

from numapool import _core
from numapool.base import arguments
from numapool.base.errors import UnsupportedError
from numapool.base.warn_once import warn_once
from numapool.machine.node_set import NodesLike, wanted_of
from numapool.machine.topology import current_topology
from numapool.memory.allocator import _size
from numapool.memory.migration import MigrationReport, migrate
from numapool.memory.object_memory import placement_of
from numapool.memory.placement import AllocationStep, Placement

with contextlib.suppress(ImportError):  # Windows
    import fcntl

# The size can never change, and the seal cannot be lifted: no access ever meets a missing page.
_HANDLE = re.compile(
    r"numapool:(?P<pid>\d{1,10}):(?P<fd>\d{1,10}):(?P<size>\d{1,19})"
    r":(?P<nodes>-|\d{1,9}(,\d{1,9}){0,4095})"
    r":(?P<bound>[01]):(?P<token>[0-9a-f]{32})",
    re.ASCII,
)
_SEALS = ("F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_SEAL")


def _require_memfd() -> None:
    if (
        sys.platform == "win32"
        or not hasattr(os, "memfd_create")
        or not hasattr(fcntl, "F_ADD_SEALS")
    ):
        raise UnsupportedError(
            "SharedNodeBuffer needs memfd_create(2), which this system does not have (Linux does); "
            "multiprocessing.shared_memory shares memory here, wherever the system puts it"
        )


class SharedNodeBuffer(mmap.mmap):
    """Memory on a node that other processes can map: bytes through the buffer protocol.

    It has no name in any file system: it is a sealed anonymous file (memfd_create(2)) and is freed
    when the last process that has it lets go. Children of ``multiprocessing`` (fork, spawn,
    forkserver; arguments, queues, pipes) get it by pickling, which passes the descriptor and copies
    nothing; unrelated processes of the same user attach to its :attr:`handle`. All pages are
    resident when it is made. It is an :class:`mmap.mmap` of fixed size.

    Parameters
    ----------
    size_bytes : int
        Size in bytes, at least 1.
    node : NodesLike, optional
        The node; by default that of the calling thread. Of several nodes, the nearest to the
        calling thread that holds all of it, else those nodes together.
    strict : bool
        Every byte on that node (of several: on any of them), proved page by page, or an error.

    Raises
    ------
    UnsupportedError
        This system has no memfd_create(2); with `strict`, it refuses mbind(2) or does not show
        where pages are.
    ValueError, MemoryError, NodeNotFoundError, PlacementError
        As for :meth:`NumaAllocator.allocate`; also where a node without memory is named.

    Warns
    -----
    PlacementWarning
        Once, when the system refused the memory policy and `strict` is false.
    """

    requested_node: int | None
    """The node asked for, or the calling thread's when it was made; of several, the one that had
    most of it then."""
    requested_nodes: tuple[int, ...]
    """Every node that was asked for, ascending."""
    bound: bool
    """Whether the kernel accepted a memory policy for it."""
    _asked: list[int]
    _fd: int
    _token: str

    def __new__(
        cls,
        size_bytes: arguments.SizeLike,
        node: NodesLike | None = None,
        *,
        strict: bool = False,
    ) -> Self:
        """Make new memory; see the class."""
        _require_memfd()
        if sys.platform == "win32":
            raise AssertionError
        size = _size(size_bytes)
        wanted = wanted_of("node", node)
        exact = arguments.flag("strict", strict)
        token = secrets.token_hex(16)
        fd = os.memfd_create(f"numapool-{token}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.fchmod(fd, 0o600)  # for processes that open it by /proc: this user only
            os.ftruncate(fd, size)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _seals())
            self = super().__new__(cls, fd, size)
            self._fd, self._token = fd, token
        except BaseException as error:
            os.close(fd)
            if isinstance(error, OSError) and error.errno in (errno.ENOMEM, errno.EFBIG):
                raise MemoryError(f"cannot map {size} bytes of shared memory: {error}") from error
            raise
        whole = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            placed = _core.place_shared(self.address, whole, wanted, exact)
        except BaseException:
            self.close()
            raise
        if placed.degraded:
            warn_once(
                "policy_refused_shared",
                f"shared memory is placed by first touch: {placed.degraded}",
            )
        first = [] if placed.requested_node is None else [placed.requested_node]
        self._asked_for([*first, *wanted])
        self.bound = placed.bound
        return self

    @classmethod
    def _adopt(cls, fd: int, size: int, asked: list[int], bound: bool, token: str) -> Self:
        """Map what another process made; takes over the descriptor."""
        if sys.platform == "win32":
            raise AssertionError
        try:
            _verify(fd, size, token)
            # Creates page table entries for resident pages, so that placement() can see them.
            flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
            self = super().__new__(cls, fd, size, flags)
        except BaseException:
            os.close(fd)
            raise
        self._fd, self._token = fd, token
        self._asked_for(asked)
        self.bound = bound
        return self

    @classmethod
    def attach(cls, handle: str) -> Self:
        """Map the memory that a handle names.

        Parameters
        ----------
        handle : str
            The :attr:`handle` of a buffer in a live process.

        Raises
        ------
        ValueError
            It is not a handle, its name is not that of a sealed buffer, or it names a node that
            this machine does not have.
        TypeError
            It is no string.
        FileNotFoundError
            The process is gone, or has let go of the memory.
        PermissionError
            The process is another user's (root may), or does not let itself be looked into
            (prctl(2), PR_SET_DUMPABLE).
        UnsupportedError
            This system has no memfd_create(2).
        """
        _require_memfd()
        if sys.platform == "win32":
            raise AssertionError
        parts = _HANDLE.fullmatch(arguments.text("handle", handle))
        if parts is None:
            raise ValueError(arguments.must_be("handle", "that of a SharedNodeBuffer", handle))
        path = f"/proc/{parts['pid']}/fd/{parts['fd']}"
        length, token = int(parts["size"]), parts["token"]
        asked = [] if parts["nodes"] == "-" else [int(one) for one in parts["nodes"].split(",")]
        for node in asked:
            if node not in current_topology()._known_ids:
                raise ValueError(f"the handle names node {node}, which this machine does not have")
        # By its name before it is opened: opening may do something to a device, or wait on a pipe.
        _verify_name(str(Path(path).readlink()), token)
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        return cls._adopt(fd, length, asked, parts["bound"] == "1", token)

    @property
    def handle(self) -> str:
        """What another process of this user gives to :meth:`attach`, while this one has the buffer.

        An address, no secret: who may open it is decided by the kernel (the memory is of mode 0600,
        and another process's descriptors are open to its user and root alone, proc(5)). It takes
        the same process-id namespace.
        """
        self._require_open()
        asked = ",".join(str(node) for node in self._asked) or "-"
        return (
            f"numapool:{os.getpid()}:{self._fd}:{len(self)}:{asked}:{int(self.bound)}:{self._token}"
        )

    @property
    def nbytes(self) -> int:
        """Size in bytes, as asked for."""
        return len(self)

    @property
    def address(self) -> int:
        """Address of the first byte in this process; ValueError once closed."""
        return _core.extent_of(self).address

    def placement(self) -> Placement:
        """Tell where the pages are now, read from the system at each call."""
        return placement_of(self)

    @property
    def node_id(self) -> int | None:
        """The node that holds the most bytes now; None if unknown."""
        held = self.placement().bytes_by_node
        return max(held, key=lambda node: (held[node], -node)) if held else None

    @property
    def step(self) -> AllocationStep:
        """The step of the chain, as the pages are now."""
        held = self.placement().bytes_by_node
        if not self.bound:
            return AllocationStep.UNBOUND
        if held and held.keys() <= set(self._asked):
            return AllocationStep.PREFERRED
        return AllocationStep.NEAREST if len(held) == 1 else AllocationStep.ANY

    def migrate(self, node: NodesLike | None) -> MigrationReport:
        """Move the pages to a node, as :func:`numapool.migrate`; pages that others map stay.

        From then on that node counts as the one that was asked for.
        """
        report = migrate(self, node)
        self._asked_for([report.node_id])
        return report

    def close(self) -> None:
        """Let go of the memory in this process. Doing it twice is allowed.

        Raises
        ------
        BufferError
            A view (array, memoryview) of it is alive; nothing is changed.
        """
        super().close()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __exit__(self, *_: object) -> None:
        """Let go, or leave it to the last view, which keeps this object alive."""
        with contextlib.suppress(BufferError):
            self.close()

    def __del__(self) -> None:
        fd, self._fd = getattr(self, "_fd", -1), -1
        if fd >= 0:
            os.close(fd)

    def __repr__(self) -> str:
        if self._fd < 0:
            return "<SharedNodeBuffer closed>"
        return f"<SharedNodeBuffer {len(self)} bytes on node {self.node_id}>"

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> tuple[Any, ...]:
        raise TypeError(
            "a SharedNodeBuffer is pickled only to pass it to a process of multiprocessing; give "
            "an unrelated process its handle"
        )

    def _asked_for(self, nodes: list[int]) -> None:
        """Remember the nodes that were asked for, the one that has most of the memory first."""
        self._asked = list(dict.fromkeys(nodes))
        self.requested_node = self._asked[0] if self._asked else None
        self.requested_nodes = tuple(sorted(self._asked))

    def _require_open(self) -> None:
        if self._fd < 0:
            raise ValueError("the buffer is closed")


def _seals() -> int:
    if sys.platform == "win32":
        raise AssertionError
    seals = 0
    for name in _SEALS:
        seals |= getattr(fcntl, name)
    return seals


def _verify_name(name: str, token: str) -> None:
    if name.removesuffix(" (deleted)") != f"/memfd:numapool-{token}":
        raise ValueError(f"the descriptor is of {name}, not of the SharedNodeBuffer that was meant")


def _verify(fd: int, size: int, token: str) -> None:
    """Make sure that a descriptor is the sealed memory that was meant."""
    if sys.platform == "win32":
        raise AssertionError
    _verify_name(str(Path(f"/proc/self/fd/{fd}").readlink()), token)
    if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _seals() != _seals() or os.fstat(fd).st_size != size:
        raise ValueError("the memory is not sealed, or of another size")


def _received(passed: Any, size: int, asked: list[int], bound: bool, token: str) -> Any:
    return SharedNodeBuffer._adopt(passed.detach(), size, asked, bound, token)


def reduce_for_children(shared: SharedNodeBuffer) -> tuple[Any, ...]:
    """Pickle a buffer by its handle, for the picklers that pass objects to child processes."""
    if sys.platform == "win32":
        raise AssertionError  # where no buffer was made
    shared._require_open()
    passed = reduction.DupFd(shared._fd)
    return _received, (passed, len(shared), shared._asked, shared.bound, shared._token)


reduction.ForkingPickler.register(SharedNodeBuffer, reduce_for_children)

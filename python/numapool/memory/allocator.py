"""Memory on the node you name: the chain preferred → nearest → any."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Literal

from numapool import _core
from numapool.base import arguments, renamed
from numapool.base.arguments import PathLike, SizeLike
from numapool.base.errors import PlacementError
from numapool.base.sizes import bytes_of
from numapool.base.warn_once import warn_once
from numapool.machine.device_search import DeviceLocality, locality_by, node_by, why_unknown
from numapool.machine.node_set import NodesLike, nodes_of, wanted_of
from numapool.machine.topology import NumaTopology, current_topology, known_topology
from numapool.memory.interleave_weights import Weights, checked_weights

NodeBuffer = _core.NodeBuffer

PageSize = (
    Literal["auto", "base", "transparent"]
    | Literal["64KiB", "2MiB", "32MiB", "512MiB", "1GiB", "16GiB"]
    | int
)
"""What page_size= takes, see :meth:`NumaAllocator.allocate`; sizes are those of hugetlb pages."""

_PAGE_KINDS = {
    "auto": _core.PageKind.AUTO,
    "base": _core.PageKind.BASE,
    "transparent": _core.PageKind.TRANSPARENT,
}
_PAGE_SIZES = f"{', '.join(map(repr, _PAGE_KINDS))} or a hugetlb size, in bytes or like '2MiB'"
_MAX_SIZE_BYTES = sys.maxsize


def _size(size_bytes: SizeLike, name: str = "size_bytes") -> int:
    size = arguments.size_at_least(name, size_bytes, 1)
    if size > _MAX_SIZE_BYTES:
        raise MemoryError(
            f"cannot allocate {arguments.shown(size)} bytes: no address space holds that much"
        )
    return size


def _page_kind(page_size: PageSize) -> tuple[_core.PageKind, int]:
    if isinstance(page_size, str):
        if (kind := _PAGE_KINDS.get(page_size)) is not None:
            return kind, 0
        try:
            size = bytes_of(page_size)
        except ValueError:
            raise ValueError(arguments.must_be("page_size", _PAGE_SIZES, page_size)) from None
    else:
        size = arguments.integer("page_size", page_size, _PAGE_SIZES)
    if not 0 < size <= _MAX_SIZE_BYTES:
        raise ValueError(arguments.must_be("page_size", _PAGE_SIZES, size))
    return _core.PageKind.HUGETLB, size


def _warn_once(degradations: Iterable[_core.Degradation], stacklevel: int = 3) -> None:
    for one in degradations:
        message = f"{one.message} (said once per cause; strict=True raises instead)"
        warn_once(one.cause.name, message, stacklevel)


class NumaAllocator:
    """Allocates memory on NUMA nodes and says where it went.

    Every allocation follows the chain *preferred nodes → nearest by distance → any*, without ever
    asking the kernel for memory under a strict bind, so none of them can invoke the
    policy-constrained OOM killer. Nodes that you do not name are used only if they are among
    :attr:`NumaTopology.default_node_ids`: no memory of a device. Safe to use from many threads at
    once.

    Parameters
    ----------
    topology : NumaTopology, optional
        The machine to allocate on. By default the running one, which the allocator follows: it
        looks again when a node seems unusable, so that nodes that come online, get memory or are
        added to the cpuset later can be used. A topology that is given never changes.
    """

    def __init__(self, topology: NumaTopology | None = None) -> None:
        self._given = arguments.optional_instance("topology", topology, NumaTopology)
        if self._given is None:
            known_topology()  # problems of the machine are reported now
        self._core = _core.Allocator(self._given_core)

    @property
    def _given_core(self) -> _core.Topology | None:
        return None if self._given is None else self._given._core

    @property
    def topology(self) -> NumaTopology:
        """The machine as it is now, or as it was given."""
        return current_topology() if self._given is None else self._given

    @property
    def numa_aware(self) -> bool:
        """Whether this system places memory by node at all (a kernel without NUMA does not)."""
        return _core.has_numa()

    is_numa_aware = renamed.attribute("NumaAllocator", "is_numa_aware", "numa_aware")

    def __repr__(self) -> str:
        return f"NumaAllocator({self.topology!r})"

    @renamed.parameters(preferred_node="node", lock="mlock", dump="core_dump")
    def allocate(
        self,
        size_bytes: SizeLike,
        node: NodesLike | None = None,
        *,
        strict: bool = False,
        page_size: PageSize = "auto",
        populate: bool = True,
        mlock: bool = False,
        core_dump: bool = True,
    ) -> NodeBuffer:
        """Allocate zeroed memory on a node, or on any of several, or as near as it fits.

        Parameters
        ----------
        size_bytes : int or str
            Size, at least 1 byte: in bytes, or text with a unit, such as ``"64MiB"``.
        node : NodesLike, optional
            The node to use; by default the node of the CPU that the calling thread runs on. Of
            several nodes, such as ``[0, 1]`` or ``"all"``, the nearest to the calling thread that
            can hold all of it, else all of them together (MPOL_PREFERRED_MANY, Linux 5.15).
        strict : bool
            Every byte on that node, or those nodes, proved page by page, or an error; clean file
            cache there makes way.
        page_size : "auto", "base", "transparent", str or int
            ``"auto"`` uses transparent huge pages from their own size up: the largest size that
            the kernel gives, at most 2 MiB, or else the smallest (transhuge.rst). A size, in bytes
            or with a unit such as ``"2MiB"``, is that of hugetlb pages, which an administrator has
            reserved (hugetlbpage.rst). With ``"transparent"``, the rest after the last whole huge
            page is in base pages. Where the node has no free hugetlb page, one is moved
            to it from the reserve of another node, for good: reserve them on each node.
        populate : bool
            Make every page resident now, by threads on the node's CPUs (MADV_POPULATE_WRITE).
            Without it the policy decides when a page is first touched, and the step is what the
            policy says.
        mlock : bool
            Lock the memory against swapping (mlock(2)).
        core_dump : bool
            False leaves the memory out of core dumps (MADV_DONTDUMP, madvise(2)): for keys and
            other secrets. Refused, it is an error, never a warning.

        Returns
        -------
        NodeBuffer
            Its ``step`` and ``node_id`` tell where the memory is, and how it got there.

        Raises
        ------
        ValueError
            A size of 0 or less, an invalid page size, or ``strict`` without ``populate``.
        TypeError
            An argument is not an integer, or not a node.
        NodeNotFoundError
            The machine has no such node.
        MemoryError
            More than the machine, this process's cgroups or its allowed nodes have available;
            nothing was populated.
        PlacementError
            ``strict`` only: the nodes cannot hold it; nothing was kept.
        UnsupportedError
            A page size that this machine does not have or has not reserved; with ``strict``, a
            kernel that refuses mbind(2) or does not show where pages are.
        OSError
            The memory could not be locked, or not be left out of core dumps.

        Warns
        -----
        PlacementWarning
            Once per cause, when the system refused what placement needs and `strict` is false.
        """
        size = _size(size_bytes)
        wanted = wanted_of("node", node)
        kind, hugetlb_bytes = _page_kind(page_size)
        if not (
            strict.__class__ is populate.__class__ is mlock.__class__ is core_dump.__class__ is bool
        ):
            arguments.flags(strict=strict, populate=populate, mlock=mlock, core_dump=core_dump)
        made = self._core.allocate(
            size, wanted, strict, kind, hugetlb_bytes, populate, mlock, core_dump
        )
        if made.degradations:
            _warn_once(made.degradations, 3 + renamed.FRAMES)
        return made.buffer

    @renamed.parameters(lock="mlock", dump="core_dump")
    def allocate_interleaved(
        self,
        size_bytes: SizeLike,
        nodes: NodesLike | None = None,
        weights: Weights | None = None,
        *,
        strict: bool = False,
        page_size: PageSize = "auto",
        populate: bool = True,
        mlock: bool = False,
        core_dump: bool = True,
    ) -> NodeBuffer:
        """Allocate zeroed memory that is spread over nodes page by page.

        Parameters
        ----------
        size_bytes : int or str
            Size, at least 1 byte: in bytes, or text with a unit, such as ``"64MiB"``.
        nodes : NodesLike, optional
            The nodes to spread over; by default :attr:`NumaTopology.default_node_ids`.
        weights : "system" or mapping of node to weight, optional
            Spread by weight instead of equally (MPOL_WEIGHTED_INTERLEAVE, Linux 6.9). The kernel
            has one table of weights for the whole system: ``"system"`` uses it, a mapping must
            agree with it.
        strict, page_size, populate, mlock, core_dump
            As for :meth:`allocate`. With huge pages the spread is by huge page.

        Returns
        -------
        NodeBuffer
            ``requested_node`` and ``node_id`` are None; ``step`` is PREFERRED if the spread is as
            asked, ANY if a node was short of memory.

        Raises
        ------
        ValueError
            As for :meth:`allocate`; an empty list of nodes; weights that are no positive integers
            or that name other nodes.
        NodeNotFoundError, MemoryError, UnsupportedError, OSError
            As for :meth:`allocate`; UnsupportedError also for weights before Linux 6.9, or that
            differ from the kernel's table, with the remedy.
        PlacementError
            A node has no memory or is not allowed; with ``strict``, a node is short of memory.
        """
        size = _size(size_bytes)
        kind, hugetlb_bytes = _page_kind(page_size)
        arguments.flags(strict=strict, populate=populate, mlock=mlock, core_dump=core_dump)
        node_list = [] if nodes is None else nodes_of("nodes", nodes)
        if nodes is not None and not node_list:
            raise ValueError("nodes must name at least one node, not none")
        node_list, weight_list = checked_weights(node_list, weights)
        made = self._core.allocate_interleaved(
            size,
            node_list,
            weights is not None,
            weight_list,
            strict,
            kind,
            hugetlb_bytes,
            populate,
            mlock,
            core_dump,
        )
        if made.degradations:
            _warn_once(made.degradations, 3 + renamed.FRAMES)
        return made.buffer

    def device_node(self, path: PathLike) -> int | None:
        """Return the node nearest to the hardware under a path, a name or an address.

        None where the system does not tell it; :meth:`device_locality` says why.

        Parameters
        ----------
        path : str or path-like
            As for :func:`numapool.device_locality`, of this allocator's machine.

        Raises
        ------
        OSError
            The file or device does not exist.
        """
        return node_by(path, self.topology._core, self._renewed).node_id

    def device_locality(self, path: PathLike) -> DeviceLocality:
        """Find the hardware under a path: every leg, the steps to it, and why a node is unknown.

        Parameters and errors are those of :meth:`device_node`, whose result is the ``node_id``.
        """
        return locality_by(path, self.topology._core, self._renewed)

    @renamed.parameters(lock="mlock", dump="core_dump")
    def allocate_near(
        self,
        path: PathLike,
        size_bytes: SizeLike,
        *,
        strict: bool = False,
        page_size: PageSize = "auto",
        populate: bool = True,
        mlock: bool = False,
        core_dump: bool = True,
    ) -> NodeBuffer:
        """Allocate zeroed memory on the usable node that is nearest to the hardware under a path.

        Where the system does not tell that node, memory comes as :meth:`allocate` gives it without
        a preferred node.

        Parameters
        ----------
        path : str or path-like
            As for :func:`numapool.device_locality`, of this allocator's machine.
        size_bytes, strict, page_size, populate, mlock, core_dump
            As for :meth:`allocate`.

        Raises
        ------
        OSError
            The file or device does not exist.
        PlacementError
            ``strict`` only: the node is unknown on a machine with several, or cannot hold it.
        ValueError, MemoryError, UnsupportedError
            As for :meth:`allocate`.

        Warns
        -----
        PlacementWarning
            Once, when a node is unknown on a machine with several; and as for :meth:`allocate`.
        """
        size = _size(size_bytes)
        node = self.device_node(path)
        topology = self.topology
        if node is not None:
            near = topology._core.memory_order(node)
            node = near[0] if near else node
        elif topology.multi_node:
            message = why_unknown(self.device_locality(path))
            if strict:
                raise PlacementError(message)
            warn_once("device_node", message, 2 + renamed.FRAMES)
        return self.allocate(
            size,
            node,
            strict=strict,
            page_size=page_size,
            populate=populate,
            mlock=mlock,
            core_dump=core_dump,
        )

    def _renewed(self) -> _core.Topology | None:
        """Look at the machine anew; None where one was given."""
        return _core.renewed_topology() if self._given is None else None

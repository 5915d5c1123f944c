"""Pools of memory by node: reuse without system calls, never on the wrong node."""

from __future__ import annotations

import itertools
import math
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self, SupportsIndex, overload

from numapool import _core
from numapool.base import arguments, renamed
from numapool.base.arguments import SizeLike
from numapool.base.errors import PoolExhaustedError
from numapool.base.live_objects import Living
from numapool.base.units import size_text
from numapool.machine.node_set import NodesLike, wanted_of
from numapool.memory.allocator import NumaAllocator, PageSize, _page_kind, _size
from numapool.pools.reservation import Reservation
from numapool.pools.ring import BufferRing
from numapool.pools.waiting import NodeBuffer, acquire_in_line

_MAX_BYTES = 2**63 - 1
_MAX_IDLE_MS = 2**31 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolCounts:
    """What a pool holds and did, of one node or in total.

    Bytes are those of whole blocks, because a size is rounded up to its class. There are four
    classes per power of two up to 1 MiB, and sixteen above: there, a new block is at most a
    sixteenth larger than the request. In a pool of huge pages it may be up to one page larger.

    Attributes
    ----------
    in_use_bytes : int
        Bytes in buffers that are out, and in rings; by the node where the pages are.
    retained_bytes : int
        Bytes that are resident and free for reuse; by the node where the pages are.
    hits, misses : int
        Requests served by a retained block, and by the system; by the node that was asked for.
    larger_hits : int
        Hits of requests above 1 MiB that found no idle block of their class, and took one of the
        next three classes. Such a block is at most a quarter larger than the request.
    spills : int
        Requests served from another node than was asked for; by the node that was asked for.
    trimmed_bytes : int
        Bytes given back to the system since the pool was made.
    high_water_bytes : int
        The most that was held from the system at once.
    """

    in_use_bytes: int
    retained_bytes: int
    hits: int
    larger_hits: int
    misses: int
    spills: int
    trimmed_bytes: int
    high_water_bytes: int

    @property
    def hit_rate(self) -> float | None:
        """Hits of all requests, from 0 to 1; None before the first."""
        requests = self.hits + self.misses
        return self.hits / requests if requests else None


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolStatistics:
    """A pool's counts; cheap enough to read each second.

    Attributes
    ----------
    by_node : mapping of int to PoolCounts
        Of nodes that are online, and of others where something was counted.
    total : PoolCounts
        The sums; its high water is that of the sum.
    """

    by_node: Mapping[int, PoolCounts]
    total: PoolCounts

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as a dictionary fit for JSON."""
        return {
            "total": asdict(self.total),
            "by_node": {str(node): asdict(counts) for node, counts in self.by_node.items()},
        }

    def _repr_html_(self) -> str:
        return statistics_html(self)


def statistics_html(statistics: PoolStatistics, title: str = "Pool") -> str:
    """Return a pool's counts as HTML, a row for each node."""
    from numapool.base import html

    rows = [_cells(node, counts) for node, counts in statistics.by_node.items()]
    rows.append(tuple(html.strong(one) for one in _cells("total", statistics.total)))
    headings = ("node", "in use", "retained", "most held", "hits", "misses", "hit rate", "spills")
    return html.fragment(html.table((*headings, "trimmed"), rows), title=title)


def _cells(name: object, counts: PoolCounts) -> tuple[object, ...]:
    rate = counts.hit_rate
    return (
        name,
        size_text(counts.in_use_bytes),
        size_text(counts.retained_bytes),
        size_text(counts.high_water_bytes),
        counts.hits,
        counts.misses,
        "-" if rate is None else f"{rate:.0%}",
        counts.spills,
        size_text(counts.trimmed_bytes),
    )


def _limit(name: str, value: SizeLike | None) -> int | None:
    if value is None:
        return None
    limit = arguments.size(name, value, f"{arguments.BYTES} or None")
    if limit < 0:
        raise ValueError(arguments.must_be(name, "None or at least 0", limit))
    return min(limit, _MAX_BYTES)


def _idle_ms(idle_s: float | None) -> int | None:
    if idle_s is None:
        return None
    seconds = arguments.real("idle_s", idle_s, f"{arguments.SECONDS} or None")
    if math.isnan(seconds) or seconds <= 0:
        raise ValueError(arguments.must_be("idle_s", "None or more than 0", idle_s))
    return math.ceil(min(seconds, _MAX_IDLE_MS / 1000) * 1000)


_pools: Living[BufferPool] = Living()
_numbers = itertools.count(1)


def _tell_exhausted(pool: BufferPool, error: PoolExhaustedError) -> None:
    """Log it; called by the core too, where :meth:`BufferPool.acquire` fails."""
    if "logging" in sys.modules:  # otherwise no logger listens
        from numapool.pools.log import pool_exhausted

        pool_exhausted(pool, pool.name, str(error))


def pools_of_this_process() -> list[BufferPool]:
    """Every pool that is open."""
    return [pool for pool in _pools.all() if not pool.closed]


class BufferPool(_core.PoolBase):
    """Keeps memory blocks by node for reuse.

    :meth:`acquire` lends a :class:`NodeBuffer`; closing or dropping it brings the block back once
    no view of it is left. A request for a node is served by a block whose pages are on that node,
    else by the system along the allocator's chain; where the node can give nothing, by a retained
    block of the nearest node that has one (counted as a spill). A hit makes no system call.

    Safe to use from many threads and after a fork, where the child keeps live buffers and drops
    what was retained. A pool is a context manager; closing it or dropping it leaves buffers that
    are out valid.

    Parameters
    ----------
    allocator : NumaAllocator, optional
        Where new memory comes from. A pool follows the machine where its allocator does.
    max_bytes : int or str, optional
        The most to hold from the system, in use and retained together; at it, :meth:`acquire`
        raises :class:`PoolExhaustedError` or waits. By default there is no cap. Pools of less than
        64 MiB cut no slabs: each block is a mapping of its own.
    retain_bytes : int or str, optional
        The most to retain. By default a pool holds up to an eighth more than was ever in use (or
        reserved) at once, and at least 64 MiB.
    zero_on_reuse : bool
        Clear a block before it is lent again. Without it a buffer holds whatever an earlier one of
        the same pool left there; memory never passes from one process to another uncleared.
    idle_s : float, optional
        Trim blocks that were not used for so many seconds, in the background. Off by default: where
        a hypervisor takes free pages, touching memory again costs 30 to 50 times as much.
    page_size : "auto", "base", "transparent" or int
        As for :meth:`NumaAllocator.allocate`; with a hugetlb size, blocks are whole huge pages.
    core_dump : bool
        False leaves all of the pool's memory out of core dumps, as for
        :meth:`NumaAllocator.allocate`.
    name : str, optional
        What metrics, logs and ``numapool watch`` call it; by default ``pool-1``, ``pool-2``, ...
        in the order in which the process makes them. Pools may share a name.

    Raises
    ------
    ValueError
        A negative limit, or an invalid page size.
    UnsupportedError
        A page size that this machine does not have.
    """

    __slots__ = (
        "__weakref__",
        "_allocator",
        "_core_dump",
        "_max_bytes",
        "_name",
        "_retain_bytes",
        "_zero_on_reuse",
    )

    @renamed.parameters(
        (2, "max_bytes retain_bytes zero_on_reuse idle_s page_size core_dump name"),
        dump="core_dump",
    )
    def __init__(
        self,
        allocator: NumaAllocator | None = None,
        *,
        max_bytes: SizeLike | None = None,
        retain_bytes: SizeLike | None = None,
        zero_on_reuse: bool = False,
        idle_s: float | None = None,
        page_size: PageSize = "auto",
        core_dump: bool = True,
        name: str | None = None,
    ) -> None:
        given = arguments.optional_instance("name", name, str)
        self._name = f"pool-{next(_numbers)}" if given is None else given
        self._core_dump = arguments.flag("core_dump", core_dump)
        source = arguments.optional_instance("allocator", allocator, NumaAllocator)
        self._allocator = NumaAllocator() if source is None else source
        self._max_bytes = _limit("max_bytes", max_bytes)
        self._retain_bytes = _limit("retain_bytes", retain_bytes)
        self._zero_on_reuse = arguments.flag("zero_on_reuse", zero_on_reuse)
        kind, hugetlb_bytes = _page_kind(page_size)
        _core.pool_open(
            self,
            self._allocator._given_core,
            self._max_bytes,
            self._retain_bytes,
            _idle_ms(idle_s),
            kind,
            hugetlb_bytes,
            self._zero_on_reuse,
            self._core_dump,
        )
        _pools.add(self)

    @property
    def name(self) -> str:
        """What metrics, logs and ``numapool watch`` call it."""
        return self._name

    @property
    def allocator(self) -> NumaAllocator:
        """Where new memory comes from."""
        return self._allocator

    @property
    def max_bytes(self) -> int | None:
        """The most that is held from the system; None without a cap."""
        return self._max_bytes

    @property
    def retain_bytes(self) -> int | None:
        """The most that is retained; None for the default."""
        return self._retain_bytes

    @property
    def zero_on_reuse(self) -> bool:
        """Whether blocks are cleared before they are lent again."""
        return self._zero_on_reuse

    @property
    def core_dump(self) -> bool:
        """Whether core dumps hold the pool's memory."""
        return self._core_dump

    dump = renamed.attribute("BufferPool", "dump", "core_dump")

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return _core.pool_closed(self)

    @overload
    def reserve(
        self,
        size_bytes: SizeLike,
        count: SupportsIndex,
        node: NodesLike | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
        background: Literal[False] = False,
    ) -> int: ...
    @overload
    def reserve(
        self,
        size_bytes: SizeLike,
        count: SupportsIndex,
        node: NodesLike | None = None,
        *,
        progress: None = None,
        background: Literal[True],
    ) -> Reservation: ...
    @overload
    def reserve(
        self,
        size_bytes: SizeLike,
        count: SupportsIndex,
        node: NodesLike | None = None,
        *,
        progress: None = None,
        background: bool,
    ) -> int | Reservation: ...
    def reserve(
        self,
        size_bytes: SizeLike,
        count: SupportsIndex,
        node: NodesLike | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
        background: bool = False,
    ) -> int | Reservation:
        """Add at least `count` blocks to what is retained, populated, ready for :meth:`acquire`.

        Parameters
        ----------
        size_bytes : int
            Size of each block in bytes.
        count : int
            How many; small blocks come by the slab, so there may be a few more.
        node : NodesLike, optional
            The node; by default that of the calling thread. Of several nodes, the nearest to it
            that has room.
        progress : callable, optional
            Called with (blocks added so far, `count`) as the work goes on.
        background : bool
            Return at once, and let a native thread near the node do the work. Of several nodes, one
            reservation each is faster than one for all: they run at the same time.

        Returns
        -------
        int or Reservation
            How many blocks were added. With `background`, the :class:`Reservation`, which tells how
            far it is, waits, and cancels; errors that come up later are raised by its ``wait()``.

        Raises
        ------
        ValueError
            A size of 0 or less, a negative count; `progress` with `background`; the pool is closed.
        OSError
            With `background`: no thread can be started.
        PoolExhaustedError
            The pool came to max_bytes; what was added so far stays.
        NodeNotFoundError, MemoryError
            As for :meth:`NumaAllocator.allocate`; what was added so far stays.
        """
        size, wanted = _size(size_bytes), arguments.at_least("count", count, 0)
        chosen = self._nodes(node)
        if progress is not None:
            arguments.function("progress", progress)
        if arguments.flag("background", background):
            if progress is not None:
                raise ValueError(
                    "progress cannot be used with background=True; read `progress` of the "
                    "Reservation that is returned"
                )
            return self._reserve_in_background(size, wanted, chosen)
        added = 0
        while added < wanted:
            try:
                added += _core.pool_reserve(self, size, chosen, added)
            except PoolExhaustedError as error:
                _tell_exhausted(self, error)
                raise
            if progress is not None:
                progress(min(added, wanted), wanted)
        return added

    def _reserve_in_background(self, size: int, count: int, nodes: list[int]) -> Reservation:
        pool = weakref.ref(self)

        def tell_exhausted(error: PoolExhaustedError) -> None:
            if (alive := pool()) is not None:
                _tell_exhausted(alive, error)

        return Reservation._start(self, self._name, size, count, nodes, tell_exhausted)

    async def acquire_async(
        self, size_bytes: SizeLike, node: NodesLike | None = None, *, strict: bool = False
    ) -> NodeBuffer:
        """Lend a block as :meth:`acquire` does; at max_bytes, wait until there is room.

        For tasks of an asyncio event loop. No thread waits: whoever gives a buffer back, in
        whichever thread, serves the first request in line. Requests are served in the order in
        which they came, so a large one is not overtaken by small ones that would fit. Requests that
        do not wait (:meth:`acquire`) may still come between. To wait for a limited time, use
        :func:`asyncio.timeout`; a task that is cancelled leaves the line.

        New memory is populated before the call returns, by the thread of whoever makes room or, if
        there is room, by that of the event loop.

        Parameters
        ----------
        size_bytes : int or str
            Size in bytes, at least 1.
        node : NodesLike, optional
            As for :meth:`acquire`; by default the node of the calling thread.
        strict : bool
            As for :meth:`acquire`.

        Returns
        -------
        NodeBuffer
            As of :meth:`acquire`.

        Raises
        ------
        ValueError
            The pool is or was closed; a size of 0 or less. In the child of a fork also requests
            that were in line before.
        PoolExhaustedError
            The size is larger than max_bytes.
        NodeNotFoundError, MemoryError, PlacementError, UnsupportedError
            As for :meth:`NumaAllocator.allocate`.
        RuntimeError
            No event loop runs in this thread.
        """
        size, nodes = _size(size_bytes), wanted_of("node", node)
        try:
            return await acquire_in_line(self, size, nodes, arguments.flag("strict", strict))
        except PoolExhaustedError as error:
            _tell_exhausted(self, error)
            raise

    @renamed.parameters(max_bytes="at_least_bytes")
    def trim(self, at_least_bytes: SizeLike | None = None, node: NodesLike | None = None) -> int:
        """Give retained blocks back to the system, the largest and oldest first.

        Buffers that are out are not touched.

        Parameters
        ----------
        at_least_bytes : int or str, optional
            Stop once so many bytes are back; the last block may exceed it. By default everything
            goes.
        node : NodesLike, optional
            Only blocks on that node, or on these nodes, one after the other by id.

        Returns
        -------
        int
            Bytes that were given back. Of a huge page that is partly in use the kernel takes its
            part when it splits the page, which it does when memory is short.
        """
        least = _limit("at_least_bytes", at_least_bytes)
        if node is None:
            return _core.pool_trim(self, least, None)
        freed = 0
        for one in self._nodes(node):
            if least is None or freed < least:
                freed += _core.pool_trim(self, None if least is None else least - freed, one)
        return freed

    def ring(
        self,
        block_bytes: SizeLike,
        count: SupportsIndex,
        node: NodesLike | None = None,
        *,
        strict: bool = False,
    ) -> BufferRing:
        """Make a ring of `count` equal blocks, populated, each aligned to a page.

        Its memory counts as in use until the ring is closed and its last buffer is back.

        Raises
        ------
        ValueError
            A size or a count of 0 or less; the pool is closed.
        PoolExhaustedError
            It would pass max_bytes.
        NodeNotFoundError, MemoryError, PlacementError
            As for :meth:`NumaAllocator.allocate`.
        """
        chosen = self._nodes(node)
        size = _size(block_bytes, "block_bytes")
        blocks = arguments.integer("count", count)
        try:
            return BufferRing(self, size, blocks, chosen, strict=strict)
        except PoolExhaustedError as error:
            _tell_exhausted(self, error)
            raise

    def statistics(self) -> PoolStatistics:
        """Count what is in use, retained, and was done, by node and in total."""
        seen = _core.pool_statistics(self)
        counts = {node: _counts(one) for node, one in seen.by_node.items()}
        return PoolStatistics(by_node=MappingProxyType(counts), total=_counts(seen.total))

    def close(self) -> None:
        """Give everything retained back; buffers that are out stay valid. Twice is allowed."""
        _core.pool_close(self)

    def _nodes(self, node: NodesLike | None) -> list[int]:
        wanted = wanted_of("node", node)
        if wanted:
            machine = self._allocator.topology
            wanted = [machine.node(one).node_id for one in wanted]
        return wanted

    def __enter__(self) -> Self:
        if self.closed:
            raise ValueError("the pool is closed")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self.closed:
            return f"<BufferPool {self._name!r}, closed>"
        total = self.statistics().total
        cap = "" if self._max_bytes is None else f" of {size_text(self._max_bytes)} at most"
        return (
            f"<BufferPool {self._name!r}: {size_text(total.in_use_bytes)} in use, "
            f"{size_text(total.retained_bytes)} retained{cap}; "
            f"{total.hits} hits, {total.misses} misses, {total.spills} spills>"
        )


def _counts(seen: _core.PoolCounts) -> PoolCounts:
    return PoolCounts(
        in_use_bytes=seen.in_use_bytes,
        retained_bytes=seen.retained_bytes,
        hits=seen.hits,
        larger_hits=seen.larger_hits,
        misses=seen.misses,
        spills=seen.spills,
        trimmed_bytes=seen.trimmed_bytes,
        high_water_bytes=seen.high_water_bytes,
    )

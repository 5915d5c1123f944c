"""The machine that is measured: nodes with CPUs, nodes with memory, a buffer on each of these."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence

from numapool import _core
from numapool.base.units import size_text
from numapool.bench.caches import Cache, caches, largest_bytes, sum_bytes
from numapool.bench.clock import Clock
from numapool.bench.options import LEAST_BYTES, BenchOptions
from numapool.bench.report import BenchWarning, Cell
from numapool.bench.rounds import Pace, repeat
from numapool.memory.allocator import NumaAllocator
from numapool.probes.machine import Machine

NodeBuffer = _core.NodeBuffer

_MIB = 1 << 20
# Of the memory that is chased through, the cache holds a sixteenth at most; streams, which leave
# nothing behind that they meet again soon, need to pass the caches of all CPUs twice.
_TIMES_LARGEST = {False: 16, True: 8}
_TIMES_ALL = 2
_LEAST_DEFAULT = {False: 256 * _MIB, True: 128 * _MIB}
_MOST_DEFAULT = {False: 4096 * _MIB, True: 1024 * _MIB}
# Of a node, for measurements that map or move memory again and again.
_MOST_OF_A_PART = {False: 256 * _MIB, True: 64 * _MIB}
_SHARE_OF_FREE = 4  # a quarter of it at most: others need memory meanwhile

Sample = Callable[[Pace, int], tuple[Sequence[float], bool]]


class Site:
    """Where to measure, with the buffers that are measured.

    Attributes
    ----------
    cpus : dict of int to tuple of int
        The CPUs that this process may use, by node; of nodes that have any.
    targets : tuple of int
        Nodes with memory that this process may use, ascending.
    size_bytes : dict of int to int
        How much memory is measured on each target.
    buffers : dict of int to NodeBuffer
        That memory, in ``with site.placed():``.
    warnings : list of BenchWarning
    left_out : list of str
        Figures that there was no time for.
    """

    def __init__(self, options: BenchOptions, clock: Clock | None = None) -> None:
        self.options = options
        self.machine = Machine()
        self.allocator = NumaAllocator()
        self.topology = self.allocator.topology
        self.clock = Clock(1, quick=options.quick) if clock is None else clock
        self.targets = self.machine.default_nodes
        self.cpus = self._cpus()
        self.caches: dict[int, tuple[Cache, ...]] = {
            node: caches(self.machine, cpus) for node, cpus in self.cpus.items()
        }
        self.size_bytes: dict[int, int] = {}
        self.buffers: dict[int, NodeBuffer] = {}
        self.warnings: list[BenchWarning] = []
        self.left_out: list[str] = []
        self.roamed = False

    @property
    def sources(self) -> tuple[int, ...]:
        """Nodes with CPUs, ascending."""
        return tuple(self.cpus)

    def _cpus(self) -> dict[int, tuple[int, ...]]:
        """Return the CPUs of each node; where the system tells of none, one node without any."""
        if hasattr(os, "sched_getaffinity"):
            usable = os.sched_getaffinity(0)
        else:
            usable = {cpu for node in self.topology.nodes for cpu in node.cpu_cores}
        found = {
            node.node_id: tuple(sorted(usable.intersection(node.cpu_cores)))
            for node in self.topology.nodes
        }
        with_cpus = {node: cpus for node, cpus in found.items() if cpus}
        return with_cpus or {self.topology.nodes[0].node_id: ()}

    def near(self, source: int) -> int | None:
        """Return the target that is nearest to a node: itself, where it has memory."""
        return next((one for one in self.topology.nearest(source) if one in self.targets), None)

    def far(self, source: int) -> int | None:
        """Return the target that is farthest from a node."""
        return next(
            (one for one in reversed(self.topology.nearest(source)) if one in self.targets), None
        )

    def cached_bytes(self) -> tuple[int, int]:
        """Return what the largest cache holds, and what all of a node's hold together."""
        largest = max((largest_bytes(found) for found in self.caches.values()), default=0)
        return largest, max((sum_bytes(found) for found in self.caches.values()), default=0)

    def free_bytes(self, node: int) -> int | None:
        """Return the free memory of a node; None where the system does not tell."""
        try:
            return self.topology.node(node).free_memory_bytes()
        except (OSError, ValueError):
            return None

    def _size(self, node: int) -> int:
        """Choose how much memory to measure on a node, in whole huge pages."""
        if self.options.size_bytes is not None:
            return self.options.size_bytes
        quick = self.options.quick
        largest, together = self.cached_bytes()
        size = max(_LEAST_DEFAULT[quick], _TIMES_LARGEST[quick] * largest, _TIMES_ALL * together)
        size = min(size, _MOST_DEFAULT[quick])
        free = self.free_bytes(node)
        if free is not None:
            size = min(size, free // _SHARE_OF_FREE)
        with contextlib.suppress(OSError):
            size = min(size, _core.available().size_bytes // (_SHARE_OF_FREE * len(self.targets)))
        return max(size // (2 * _MIB) * (2 * _MIB), LEAST_BYTES)

    def part_bytes(self, node: int) -> int:
        """Return how much of a node to use for measurements that map or move it again and again."""
        asked = self.options.size_bytes or self.size_bytes.get(node) or _MOST_OF_A_PART[True]
        return min(asked, _MOST_OF_A_PART[self.options.quick])

    @contextlib.contextmanager
    def placed(self) -> Iterator[None]:
        """Have a buffer on each target for a while."""
        try:
            for node in self.targets:
                self.size_bytes[node] = self._size(node)
                self.buffers[node] = self.allocator.allocate(self.size_bytes[node], node)
            self._warn_of_caches()
            yield
        finally:
            for buffer in self.buffers.values():
                buffer.__exit__()
            self.buffers.clear()

    def _warn_of_caches(self) -> None:
        largest, _ = self.cached_bytes()
        small = [node for node, size in self.size_bytes.items() if size < 4 * largest]
        if small:
            self.warn(
                "caches",
                f"{size_text(self.size_bytes[small[0]])} were measured on node {small[0]}, and one "
                f"cache holds {size_text(largest)}: the figures are partly the cache's",
            )

    def warn(self, kind: str, text: str) -> None:
        """Keep a warning, once."""
        warning = BenchWarning(kind=kind, text=text)
        if warning not in self.warnings:
            self.warnings.append(warning)

    def cell(
        self, what: str, source: int, target: int, threads: Sequence[int], sample: Sample
    ) -> Cell | None:
        """Measure a cell on a target's buffer, then look where its pages are.

        Parameters
        ----------
        what : str
            Its name, for the progress and for the list of figures left out.
        threads : sequence of int
            The CPUs that `sample` uses.
        sample : callable
            ``sample(pace, rounds)`` returns a value for each round, and whether threads stayed.
        """
        name = f"{what}, node {source} to {target}"
        pace = self.clock.take(name)
        if pace is None:
            self.left_out.append(name)
            return None
        stayed = True

        def values(rounds: int) -> Sequence[float]:
            nonlocal stayed
            found, on_their_cpus = sample(pace, rounds)
            stayed = stayed and on_their_cpus
            return found

        figure = repeat(values, pace)
        buffer = self.buffers[target]
        placement = buffer.placement()
        self.roamed = self.roamed or not stayed
        return Cell(
            source=source,
            target=target,
            figure=figure,
            threads=max(len(threads), 1),
            stayed=stayed,
            # Whole pages are counted where the buffer ends within one.
            measured_bytes=buffer.nbytes,
            bytes_on_target=min(placement.bytes_by_node.get(target, 0), buffer.nbytes),
            method=placement.method,
            page_bytes=placement.page_size_bytes,
        )

"""What a run found: frozen records, to JSON and back. docs/bench.md describes the document."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numapool.bench.document import record_of

SCHEMA = "numapool-bench/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A measured value: the median over rounds.

    Attributes
    ----------
    median, lowest, highest : float
        In the unit of what holds it.
    rounds : int
        How many there were.
    steady : bool
        The standard error of the median, estimated from the quartiles, had come below 1 %.
    """

    median: float
    lowest: float
    highest: float
    rounds: int
    steady: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One node's CPUs on one node's memory.

    Attributes
    ----------
    source, target : int
        The node of the CPUs, the node of the memory.
    figure : Figure
    threads : int
        How many measured.
    stayed : bool
        Every thread ran on its CPU from begin to end.
    measured_bytes, bytes_on_target : int
        Size of the memory, and what of it the kernel saw on `target` after measuring.
    method : str
        Who said so: as in :class:`numapool.Placement`.
    page_bytes : int
        The largest page met.
    """

    source: int
    target: int
    figure: Figure
    threads: int
    stayed: bool
    measured_bytes: int
    bytes_on_target: int
    method: str
    page_bytes: int

    @property
    def verified(self) -> bool:
        """Threads and memory were where the cell says."""
        return self.stayed and self.bytes_on_target == self.measured_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """A kind of access, from every node with CPUs to every node with memory.

    Attributes
    ----------
    name : str
        ``"latency"``, ``"read"``, ``"write"``, ``"copy"``, ``"triad"`` or ``"mix"``;
        ``"cache_modified"`` and ``"cache_clean"`` (from the cache of a CPU of `target` to a CPU of
        `source`); ``"migration"`` (pages moved from `source` to `target`).
    unit : str
        ``"ns"`` or ``"bytes/s"``.
    cells : tuple of Cell
        By source, then by target; a cell that there was no time for is missing.
    """

    name: str
    unit: str
    cells: tuple[Cell, ...]

    def cell(self, source: int, target: int) -> Cell | None:
        """Return a cell, if it was measured."""
        for one in self.cells:
            if (one.source, one.target) == (source, target):
                return one
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadPoint:
    """Latency while other CPUs of the same node read from the same memory.

    Attributes
    ----------
    source, target : int
    pause : int
        Steps of arithmetic between reads of 4 KiB: 0 is all that the CPUs can do.
    latency_ns, load_bytes_s : Figure
    verified : bool
        As :attr:`Cell.verified`.
    """

    source: int
    target: int
    pause: int
    latency_ns: Figure
    load_bytes_s: Figure
    verified: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PageSize:
    """What a size of pages costs and gains, on a node's own memory.

    Attributes
    ----------
    node_id : int
    kind : str
        ``"base"``, ``"transparent"`` or ``"hugetlb"``.
    page_bytes : int
    latency_ns : Figure or None
        Of dependent loads over memory in such pages; None where that memory was not available.
    touch_bytes_s : Figure or None
        First use by one thread that writes to each base page.
    populate_bytes_s : Figure or None
        First use as the allocator does it.
    verified : bool
        The pages came on the node, and in this size.
    reason : str or None
        Why a figure is missing.
    """

    node_id: int
    kind: str
    page_bytes: int
    latency_ns: Figure | None
    touch_bytes_s: Figure | None
    populate_bytes_s: Figure | None
    verified: bool
    reason: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReachPoint:
    """Latency of loads that touch one line in each of many base pages' worth of memory.

    Attributes
    ----------
    node_id : int
    kind : str
        The pages of the memory: ``"base"`` or ``"transparent"``.
    page_bytes : int
        Their size.
    step_bytes : int
        The distance of the lines: one base page.
    lines : int
        How many lines there are.
    latency_ns : Figure
    verified : bool
        The pages came on the node, and in this size; the thread stayed on its CPU.
    """

    node_id: int
    kind: str
    page_bytes: int
    step_bytes: int
    lines: int
    latency_ns: Figure
    verified: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Allocation:
    """What it takes to get memory, write to each page of it, and give it back.

    Attributes
    ----------
    node_id : int
    name : str
        ``"np.empty"``, ``"numa_alloc_onnode"``, ``"allocate"`` or ``"pool"``.
    size_bytes : int
    whole_ns : Figure
        Getting, touching and giving back.
    get_ns : Figure
        Getting and giving back alone, without touching.
    bytes_on_node : int
        What of it the kernel saw on the node.
    """

    node_id: int
    name: str
    size_bytes: int
    whole_ns: Figure
    get_ns: Figure
    bytes_on_node: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceRead:
    """How fast a file or device is read into a node's memory.

    Attributes
    ----------
    path : str
    device_node : int or None
        The node of its hardware.
    target : int
        The node of the memory.
    place : str
        ``"near"``, ``"far"``, ``"only"`` (one node) or ``"unknown"`` (the device's node is not
        known).
    bytes_s : Figure
    direct_share : float
        Of the bytes, those that went past the page cache.
    reason : str or None
        Why some did not.
    verified : bool
        Every block was on the target.
    """

    path: str
    device_node: int | None
    target: int
    place: str
    bytes_s: Figure
    direct_share: float
    reason: str | None
    verified: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """What the hardware could do at most, of a node's own memory.

    Attributes
    ----------
    node_id : int
    bandwidth_bytes_s : float or None
    latency_ns : float or None
    source : str
        Where the limit comes from, or why it is unknown.
    """

    node_id: int
    bandwidth_bytes_s: float | None
    latency_ns: float | None
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchWarning:
    """What spoils figures.

    Attributes
    ----------
    kind : str
        ``"steal"``, ``"other work"``, ``"frequency"``, ``"cgroup"``, ``"automatic balancing"``,
        ``"placement"``, ``"threads"``, ``"pages"``, ``"caches"``, ``"unsteady"``, ``"left out"``,
        ``"device"``.
    text : str
    """

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchReport:
    """All that a run found.

    Attributes
    ----------
    version : str
        Of numapool.
    began_unix_s, took_s : float
    quick : bool
    size_bytes : dict of int to int
        Memory measured on each node, by node.
    machine : dict
        The processor's name, the instructions of streams, caches, hypervisor, and the topology as
        ``numapool info --json`` has it.
    sources, targets : tuple of int
        Nodes with CPUs, and nodes with memory, that this process may use.
    matrices : tuple of Matrix
    loaded : tuple of LoadPoint
    pages : tuple of PageSize
    allocations : tuple of Allocation
    devices : tuple of DeviceRead
    limits : tuple of Limit
    warnings : tuple of BenchWarning
    reach : tuple of ReachPoint
    """

    version: str
    began_unix_s: float
    took_s: float
    quick: bool
    size_bytes: dict[int, int]
    machine: dict[str, Any]
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    matrices: tuple[Matrix, ...]
    loaded: tuple[LoadPoint, ...]
    pages: tuple[PageSize, ...]
    allocations: tuple[Allocation, ...]
    devices: tuple[DeviceRead, ...]
    limits: tuple[Limit, ...]
    warnings: tuple[BenchWarning, ...]
    reach: tuple[ReachPoint, ...] = ()

    def matrix(self, name: str) -> Matrix | None:
        """Return a matrix by its name, if it was measured."""
        for one in self.matrices:
            if one.name == name:
                return one
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``numapool bench --json`` prints."""
        document: dict[str, Any] = {"schema": SCHEMA, **dataclasses.asdict(self)}
        for matrix, found in zip(document["matrices"], self.matrices, strict=True):
            for cell, one in zip(matrix["cells"], found.cells, strict=True):
                cell["verified"] = one.verified
        return document

    def _repr_html_(self) -> str:
        from numapool.bench.report_html import report_html

        return report_html(self)

    @classmethod
    def from_dict(cls, document: Any) -> BenchReport:
        """Build it from such a document, also after JSON has made text of the keys.

        Raises
        ------
        ValueError
            The file is not such a document; the message says what is wrong, and where.
        """
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != SCHEMA:
            raise ValueError(
                f"not a result of numapool bench: its schema is {schema!r}, not {SCHEMA}; use a "
                "file that numapool bench --json has printed"
            )
        return record_of(cls, {k: v for k, v in document.items() if k != "schema"}, "")


def load_report(path: str | Path) -> BenchReport:
    """Read a result that ``numapool bench --json`` has printed.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It holds no such result; the message names the file.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        where = (
            f" at line {error.lineno}, column {error.colno}"
            if isinstance(error, json.JSONDecodeError)
            else ""
        )
        raise ValueError(
            f"{path}: not a result of numapool bench: it is not JSON{where}; use a file that "
            "numapool bench --json has printed"
        ) from error
    try:
        return BenchReport.from_dict(document)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error

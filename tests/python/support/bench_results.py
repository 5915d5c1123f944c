"""Results of ``numapool bench`` for machines that are not here: as if they had been measured."""

from __future__ import annotations

import random
from typing import Any

from numapool.bench import (
    Allocation,
    BenchReport,
    BenchWarning,
    Cell,
    DeviceRead,
    Figure,
    Limit,
    LoadPoint,
    Matrix,
    PageSize,
    ReachPoint,
)

MIB = 1 << 20
_KINDS = {"read": 1.0, "write": 0.6, "copy": 0.8, "triad": 0.85, "mix": 0.9}


def figure(median: float, *, spread: float = 0.02, steady: bool = True) -> Figure:
    """Return a figure whose rounds are within a share of its median."""
    return Figure(
        median=median,
        lowest=median * (1 - spread),
        highest=median * (1 + spread),
        rounds=9,
        steady=steady,
    )


def _cell(source: int, target: int, value: Figure, *, verified: bool = True) -> Cell:
    return Cell(
        source=source,
        target=target,
        figure=value,
        threads=8,
        stayed=True,
        measured_bytes=512 * MIB,
        bytes_on_target=512 * MIB if verified else 300 * MIB,
        method="move_pages",
        page_bytes=2 * MIB,
    )


def _far(nodes: int, source: int, target: int) -> float:
    """Tell how much farther a node is, as in sockets of two nodes each."""
    if source == target:
        return 1.0
    return 1.3 if nodes > 2 and source // 2 == target // 2 else 1.75


def report(nodes: int, *, faster: float = 1.0, seed: int = 1, **changes: Any) -> BenchReport:
    """Return a complete result of a machine of so many nodes."""
    dice = random.Random(seed)
    ids = tuple(range(nodes))
    pairs = [(source, target) for source in ids for target in ids]

    def noise() -> float:
        return dice.uniform(0.98, 1.02)

    latency = [
        _cell(s, t, figure(92 / faster * _far(nodes, s, t) * noise(), steady=(s, t) != (0, 1)))
        for s, t in pairs
    ]
    matrices = [Matrix(name="latency", unit="ns", cells=tuple(latency))]
    for name, wait in (("cache_modified", 60.0), ("cache_clean", 48.0)):
        waits = [_cell(s, t, figure(wait / faster * _far(nodes, s, t) * noise())) for s, t in pairs]
        matrices.append(Matrix(name=name, unit="ns", cells=tuple(waits)))
    for kind, share in _KINDS.items():
        cells = [
            _cell(
                s,
                t,
                figure(140e9 * faster * share / _far(nodes, s, t) * noise()),
                verified=(kind, s, t) != ("triad", 1, 0),
            )
            for s, t in pairs
        ]
        if kind == "triad" and nodes > 1:
            cells.pop()  # one that there was no time for
        matrices.append(Matrix(name=kind, unit="bytes/s", cells=tuple(cells)))
    if nodes > 1:
        moves = [
            _cell(s, t, figure(3.1e9 * faster / _far(nodes, s, t) * noise()))
            for s, t in pairs
            if s != t
        ]
        matrices.append(Matrix(name="migration", unit="bytes/s", cells=tuple(moves)))
    loaded = [
        LoadPoint(
            source=source,
            target=target,
            pause=pause,
            latency_ns=figure(92 / faster * _far(nodes, source, target) * (1 + load**6 * 2.5)),
            load_bytes_s=figure(130e9 * faster * load / _far(nodes, source, target)),
            verified=True,
        )
        for source, target in [(0, 0), *([(0, nodes - 1)] if nodes > 1 else [])]
        for pause, load in ((0, 1.0), (250, 0.93), (1000, 0.7), (4000, 0.3), (16000, 0.08))
    ]
    pages = [
        PageSize(
            node_id=0,
            kind=kind,
            page_bytes=size,
            latency_ns=figure(wait / faster),
            touch_bytes_s=figure(touch),
            populate_bytes_s=figure(populate),
            verified=True,
            reason=None,
        )
        for kind, size, wait, touch, populate in (
            ("base", 4096, 121.0, 1.6e9, 7.1e9),
            ("transparent", 2 * MIB, 93.0, 8.2e9, 41e9),
        )
    ]
    pages.append(
        PageSize(
            node_id=0,
            kind="hugetlb",
            page_bytes=1 << 30,
            latency_ns=None,
            touch_bytes_s=None,
            populate_bytes_s=None,
            verified=False,
            reason="none are reserved",
        )
    )
    reach = [
        ReachPoint(
            node_id=0,
            kind=kind,
            page_bytes=size,
            step_bytes=4096,
            lines=lines,
            latency_ns=figure((1.2 + lines / 8192 + (walk if lines > 1024 else 0)) / faster),
            verified=True,
        )
        for kind, size, walk in (("base", 4096, 9.0), ("transparent", 2 * MIB, 0.0))
        for lines in (16, 64, 256, 1024, 4096, 16384, 65536)
    ]
    allocations = [
        Allocation(
            node_id=0,
            name=name,
            size_bytes=size,
            whole_ns=figure(whole * size / MIB, steady=name != "np.empty"),
            get_ns=figure(get),
            bytes_on_node=size,
        )
        for size in (MIB, 64 * MIB)
        for name, whole, get in (
            ("np.empty", 95_000.0, 140.0),
            ("numa_alloc_onnode", 480_000.0, 9_000.0),
            ("allocate", 88_000.0, 85_000.0),
            ("pool", 2_200.0, 80.0),
        )
    ]
    devices = [
        DeviceRead(
            path="/dev/nvme0n1",
            device_node=nodes - 1,
            target=target,
            place=place,
            bytes_s=figure(6.7e9 * share, spread=0.06),
            direct_share=1.0,
            reason=None,
            verified=True,
        )
        for target, place, share in (
            [(nodes - 1, "near", 1.0), (0, "far", 0.83)] if nodes > 1 else [(0, "only", 1.0)]
        )
    ]
    fields: dict[str, Any] = {
        "version": "0.1.0",
        "began_unix_s": 1_790_000_000.0,
        "took_s": 83.4,
        "quick": False,
        "size_bytes": dict.fromkeys(ids, 512 * MIB),
        "machine": {
            "cpu": "Example Processor 9000",
            "instructions": "avx2",
            "hypervisor": None,
            "caches": [{"level": 3, "size_bytes": 32 * MIB, "cpus": 8}],
            "topology": {},
        },
        "sources": ids,
        "targets": ids,
        "matrices": tuple(matrices),
        "loaded": tuple(loaded),
        "pages": tuple(pages),
        "reach": tuple(reach),
        "allocations": tuple(allocations),
        "devices": tuple(devices),
        "limits": tuple(
            Limit(
                node_id=node,
                bandwidth_bytes_s=204.8e9,
                latency_ns=None,
                source="8 memory modules (SMBIOS), if each has a channel of its own",
            )
            for node in ids
        ),
        "warnings": (
            BenchWarning(
                kind="automatic balancing",
                text="AutoNUMA is on (/proc/sys/kernel/numa_balancing): the kernel's scans cost "
                "time, and memory that other libraries allocate moves",
            ),
        ),
    }
    return BenchReport(**{**fields, **changes})

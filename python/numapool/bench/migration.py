"""How fast pages move from each node to each other one."""

from __future__ import annotations

import time
from collections.abc import Sequence

from numapool.base.errors import NumapoolError
from numapool.bench.report import Cell, Matrix
from numapool.bench.rounds import Pace, repeat
from numapool.bench.site import Site


def _pairs(site: Site) -> list[tuple[int, int]]:
    return [(one, other) for one in site.targets for other in site.targets if one != other]


def figures(site: Site) -> int:
    """How many there are to measure."""
    return len(_pairs(site))


def measure(site: Site) -> Matrix:
    """Move a buffer from node to node; only the way there is timed, not the way back."""
    cells: list[Cell] = []
    for source, target in _pairs(site):
        name = f"migration, node {source} to {target}"
        pace = site.clock.take(name)
        if pace is None:
            site.left_out.append(name)
            continue
        try:
            cells.append(_cell(site, source, target, pace))
        except (NumapoolError, MemoryError, OSError) as error:
            site.warn("migration", f"{name}: {error}")
    return Matrix(name="migration", unit="bytes/s", cells=tuple(cells))


def _cell(site: Site, source: int, target: int, pace: Pace) -> Cell:
    size = site.part_bytes(source)
    with site.allocator.allocate(size, source, strict=True) as buffer:
        arrived = True

        def sample(rounds: int) -> Sequence[float]:
            nonlocal arrived
            rates = []
            for _ in range(rounds):
                began = time.perf_counter()
                found = buffer.migrate(target)
                rates.append(size / (time.perf_counter() - began))
                arrived = arrived and found.placement.bytes_by_node.get(target, 0) >= size
                buffer.migrate(source)
            return rates

        figure = repeat(sample, Pace(round_ns=max(pace.round_ns, 20_000_000), most_s=pace.most_s))
        there = buffer.migrate(target).placement
    return Cell(
        source=source,
        target=target,
        figure=figure,
        threads=1,
        stayed=arrived,
        measured_bytes=size,
        bytes_on_target=min(there.bytes_by_node.get(target, 0), size),
        method=there.method,
        page_bytes=there.page_size_bytes,
    )

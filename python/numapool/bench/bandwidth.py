"""How much all CPUs of each node read from, write to and copy within memory of each node."""

from __future__ import annotations

from collections.abc import Sequence

from numapool import _core
from numapool.bench.report import Matrix
from numapool.bench.rounds import Pace
from numapool.bench.site import Site

KINDS = ("read", "write", "copy", "triad", "mix")


def figures(site: Site) -> int:
    """How many there are to measure."""
    return len(KINDS) * len(site.sources) * len(site.targets)


def measure(site: Site, kind: str) -> Matrix:
    """Stream through each target with every CPU of each source."""
    cells = []
    for source in site.sources:
        for target in site.targets:
            buffer, cpus = site.buffers[target], site.cpus[source]

            def sample(
                pace: Pace,
                rounds: int,
                buffer: _core.NodeBuffer = buffer,
                cpus: tuple[int, ...] = cpus,
            ) -> tuple[Sequence[float], bool]:
                way = _core.BenchKind[kind.upper()]
                found = _core.bench_stream(way, buffer, cpus, pace.round_ns, rounds)
                return found.bytes_per_s, found.stayed

            cells.append(site.cell(kind, source, target, cpus, sample))
    found = tuple(cell for cell in cells if cell is not None)
    return Matrix(name=kind, unit="bytes/s", cells=found)

"""How long a CPU of each node waits for memory of each node."""

from __future__ import annotations

from collections.abc import Sequence

from numapool import _core
from numapool.bench.report import Cell, Matrix
from numapool.bench.rounds import Pace
from numapool.bench.site import Site

SEED = 1


def figures(site: Site) -> int:
    """How many there are to measure."""
    return len(site.sources) * len(site.targets)


def waiting_cpu(site: Site, source: int) -> tuple[int, ...]:
    """Return the CPU of a node that waits: the last, as the first has the most interrupts."""
    return site.cpus[source][-1:]


def wait_ns(rounds: Sequence[_core.BenchChase]) -> list[float]:
    """Return nanoseconds for one load, of each round."""
    return [one.ns / one.loads for one in rounds]


def measure(site: Site) -> Matrix:
    """Follow a random circle of lines through each target, from each source."""
    cells: list[Cell | None] = []
    for target in site.targets:
        circle = _core.BenchCircle(site.buffers[target], SEED)
        for source in site.sources:
            cpu = waiting_cpu(site, source)

            def sample(
                pace: Pace,
                rounds: int,
                circle: _core.BenchCircle = circle,
                cpu: tuple[int, ...] = cpu,
            ) -> tuple[Sequence[float], bool]:
                found = circle.chase(cpu, pace.round_ns, rounds)
                return wait_ns(found.rounds), found.stayed

            cells.append(site.cell("latency", source, target, cpu, sample))
    found = sorted((c for c in cells if c is not None), key=lambda c: (c.source, c.target))
    return Matrix(name="latency", unit="ns", cells=tuple(found))

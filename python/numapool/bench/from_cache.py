"""How long a CPU waits for a line that another CPU's cache has."""

from __future__ import annotations

from collections.abc import Sequence

from numapool import _core
from numapool.bench.caches import siblings
from numapool.bench.latency import SEED, wait_ns
from numapool.bench.report import Matrix
from numapool.bench.rounds import Pace
from numapool.bench.site import Site

#: Lines that change hands each time: small beside any first-level cache.
_LINES = 256


def kinds() -> dict[str, _core.BenchLines]:
    """Return the matrices that can be measured here."""
    found = {"cache_modified": _core.BenchLines.MODIFIED}
    if _core.bench_can_flush():
        found["cache_clean"] = _core.BenchLines.CLEAN
    return found


def pair(site: Site, reader: int, owner: int) -> tuple[int, int] | None:
    """Return a CPU of each node that share no core: the owner's and the reader's."""
    owners, readers = site.cpus[owner], site.cpus[reader]
    for one in owners:
        core = {one, *siblings(site.machine, one)}
        other = next((cpu for cpu in reversed(readers) if cpu not in core), None)
        if other is not None:
            return one, other
    return None


def _pairs(site: Site) -> list[tuple[int, int, tuple[int, int]]]:
    """Return (reader's node, owner's node, CPUs); memory is of the owner's node."""
    found = []
    for reader in site.sources:
        for owner in site.sources:
            cpus = pair(site, reader, owner)
            if cpus is not None and owner in site.targets:
                found.append((reader, owner, cpus))
    return found


def figures(site: Site) -> int:
    """How many there are to measure."""
    return len(kinds()) * len(_pairs(site))


def measure(site: Site, name: str) -> Matrix:
    """Read lines that a CPU of each node has in its cache, from a CPU of each node."""
    lines = kinds()[name]
    cells = []
    for reader, owner, cpus in _pairs(site):
        part = memoryview(site.buffers[owner])[: _LINES * 64]
        circle = _core.BenchCircle(part, SEED)

        def sample(
            pace: Pace,
            rounds: int,
            circle: _core.BenchCircle = circle,
            cpus: tuple[int, int] = cpus,
        ) -> tuple[Sequence[float], bool]:
            found = circle.chase_from_cache(cpus, lines, pace.round_ns, rounds)
            return wait_ns(found.rounds), found.stayed

        cells.append(site.cell(name.replace("_", ", "), reader, owner, cpus, sample))
    return Matrix(name=name, unit="ns", cells=tuple(c for c in cells if c is not None))

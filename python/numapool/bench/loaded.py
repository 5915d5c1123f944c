"""How long a CPU waits for memory while the others of its node read as much as they can."""

from __future__ import annotations

from collections.abc import Sequence

from numapool import _core
from numapool.bench.caches import siblings
from numapool.bench.latency import SEED, wait_ns, waiting_cpu
from numapool.bench.report import LoadPoint
from numapool.bench.rounds import figure_of, repeat_all
from numapool.bench.site import Site

# Steps of some four cycles each after 4 KiB, which one CPU reads in some 1000 cycles.
PAUSES = (0, 60, 125, 250, 500, 1000, 2000, 4000, 16000)
_QUICK_PAUSES = (0, 250, 1000, 4000)


def _pauses(site: Site) -> tuple[int, ...]:
    return _QUICK_PAUSES if site.options.quick else PAUSES


def loading_cpus(site: Site, source: int) -> tuple[int, ...]:
    """Return a node's other CPUs, if there are any on other cores, these alone."""
    waiting = waiting_cpu(site, source)
    others = tuple(cpu for cpu in site.cpus[source] if cpu not in waiting)
    if not waiting:
        return ()
    beside = siblings(site.machine, waiting[0])
    return tuple(cpu for cpu in others if cpu not in beside) or others


def pairs(site: Site) -> list[tuple[int, int]]:
    """Return each source with its own memory, and the first with its farthest target."""
    found = []
    for source in site.sources:
        near = site.near(source)
        if near is not None and loading_cpus(site, source):
            found.append((source, near))
    if site.options.quick:
        found = found[:1]
    if found and (far := site.far(found[0][0])) is not None and far != found[0][1]:
        found.insert(1, (found[0][0], far))
    return found


def figures(site: Site) -> int:
    """How many there are to measure."""
    return len(pairs(site)) * len(_pauses(site))


def measure(site: Site) -> tuple[LoadPoint, ...]:
    """Measure each pair with less and less of a load."""
    found = pairs(site)
    if not found:
        site.warn(
            "left out",
            "latency under load takes two CPUs on a node, one to wait and others to load: no node "
            "has two that this process may use",
        )
    return tuple(point for source, target in found for point in _curve(site, source, target))


def _curve(site: Site, source: int, target: int) -> list[LoadPoint]:
    buffer = site.buffers[target]
    half = buffer.nbytes // 2 // 64 * 64
    whole = memoryview(buffer)
    circle, load = _core.BenchCircle(whole[:half], SEED), whole[half : 2 * half]
    cpus = [*waiting_cpu(site, source), *loading_cpus(site, source)]
    points = []
    for pause in _pauses(site):
        name = f"latency under load, node {source} to {target}, pause {pause}"
        pace = site.clock.take(name)
        if pace is None:
            site.left_out.append(name)
            continue
        waits: list[float] = []
        rates: list[float] = []
        all_stayed = True

        def sample(
            rounds: int, pause: int = pause, round_ns: int = pace.round_ns
        ) -> tuple[Sequence[float], Sequence[float]]:
            nonlocal all_stayed
            found = circle.chase_under_load(load, cpus, pause, round_ns, rounds)
            all_stayed = all_stayed and found.stayed
            return wait_ns(found.chases), found.load_bytes_per_s

        repeat_all(sample, pace, (waits, rates))
        site.roamed = site.roamed or not all_stayed
        on_target = buffer.placement().bytes_by_node.get(target, 0)
        points.append(
            LoadPoint(
                source=source,
                target=target,
                pause=pause,
                latency_ns=figure_of(waits),
                load_bytes_s=figure_of(rates),
                verified=all_stayed and on_target >= buffer.nbytes,
            )
        )
    return points

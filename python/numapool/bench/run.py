"""Asks the questions in turn and puts the answers together."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from numapool import _core
from numapool._core import __version__
from numapool.bench import (
    allocators,
    bandwidth,
    device,
    from_cache,
    latency,
    loaded,
    migration,
    pages,
    reach,
)
from numapool.bench.clock import Clock, Progress
from numapool.bench.conditions import Conditions
from numapool.bench.limits import limits
from numapool.bench.notebook import notebook_progress
from numapool.bench.options import BenchOptions
from numapool.bench.report import BenchReport, BenchWarning, LoadPoint, Matrix
from numapool.bench.site import Site
from numapool.machine.hypervisor import detect_hypervisor
from numapool.probes.machine import Machine

_COUNTS = {
    "latency": latency.figures,
    "bandwidth": bandwidth.figures,
    "loaded": loaded.figures,
    "caches": from_cache.figures,
    "pages": pages.figures,
    "reach": reach.figures,
    "migration": migration.figures,
    "allocators": allocators.figures,
    "device": device.figures,
}


def run(options: BenchOptions | None = None, progress: Progress | None = None) -> BenchReport:
    """Measure this machine.

    Uses every CPU that this process may use; best on a machine that does nothing else.

    Parameters
    ----------
    options : BenchOptions, optional
        What to measure; by default everything but devices.
    progress : callable, optional
        Called with what is being done, the share of the run that is over, and the seconds that are
        left. By default a notebook shows a bar, and everything else nothing.

    Returns
    -------
    BenchReport
        With warnings about all that spoiled it. Cells say whether their memory and their threads
        were where they should be (:attr:`Cell.verified`).

    Raises
    ------
    OSError, ValueError
        A path cannot be read, or holds too little.
    MemoryError
        No node has memory to measure.
    """
    options = BenchOptions() if options is None else options
    for path in options.paths:
        device.check(path)  # before an hour is spent on the rest
    began = time.time()
    progress = notebook_progress() if progress is None else progress
    site = Site(options)
    asked = [name for name in _COUNTS if options.asks(name)]
    site.clock = Clock(
        sum(_COUNTS[name](site) for name in asked), quick=options.quick, progress=progress
    )
    conditions = Conditions(site.machine, {cpu for cpus in site.cpus.values() for cpu in cpus})
    # Measurements that were named come first, while there is time.
    devices = device.measure(site) if options.asks("device") else ()
    matrices, points = _on_buffers(site, conditions)
    page_sizes = pages.measure(site) if options.asks("pages") else ()
    points_of_reach = reach.measure(site) if options.asks("reach") else ()
    if options.asks("migration") and len(site.targets) > 1:
        matrices = (*matrices, migration.measure(site))
    allocations = allocators.measure(site) if options.asks("allocators") else ()
    took_s = site.clock.finish()
    spoiled = conditions.warnings()
    found = BenchReport(
        version=__version__,
        began_unix_s=began,
        took_s=took_s,
        quick=options.quick,
        size_bytes=dict(site.size_bytes),
        machine=_machine(site),
        sources=site.sources,
        targets=site.targets,
        matrices=matrices,
        loaded=points,
        pages=page_sizes,
        allocations=allocations,
        devices=devices,
        limits=limits(site),
        warnings=(),
        reach=points_of_reach,
    )
    return dataclasses.replace(found, warnings=(*spoiled, *site.warnings, *_doubts(site, found)))


def _on_buffers(
    site: Site, conditions: Conditions
) -> tuple[tuple[Matrix, ...], tuple[LoadPoint, ...]]:
    """Measure what is measured on a buffer of each node; what writes to them comes last."""
    asks = site.options.asks
    matrices: list[Matrix] = []
    points: tuple[LoadPoint, ...] = ()
    if not any(map(asks, ("latency", "bandwidth", "loaded", "caches"))):
        return (), ()
    with site.placed():
        if asks("latency"):
            matrices.append(latency.measure(site))
            conditions.time_speed()
        if asks("loaded"):
            points = loaded.measure(site)
            conditions.time_speed()
        if asks("caches"):
            matrices += [from_cache.measure(site, name) for name in from_cache.kinds()]
        if asks("bandwidth"):
            for kind in bandwidth.KINDS:
                matrices.append(bandwidth.measure(site, kind))
            conditions.time_speed()
    return tuple(matrices), points


def _machine(site: Site) -> dict[str, Any]:
    try:
        below = detect_hypervisor().kind
    except OSError:
        below = None
    first = next(iter(site.caches.values()), ())
    return {
        "cpu": cpu_name(site.machine),
        "instructions": _core.bench_instructions(),
        "hypervisor": below,
        "caches": [
            {"level": one.level, "size_bytes": one.size_bytes, "cpus": len(one.cpus)}
            for one in {(c.level, c.size_bytes, len(c.cpus)): c for c in first}.values()
        ],
        "topology": site.topology.to_dict(),
    }


def cpu_name(machine: Machine) -> str | None:
    """Return what the processor calls itself."""
    for line in (machine.read("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "cpu model", "cpu"):
            return value.strip() or None
    return None


def _doubts(site: Site, report: BenchReport) -> list[BenchWarning]:
    """Say which figures are not what they should be."""
    cells = [cell for matrix in report.matrices for cell in matrix.cells]
    found: list[BenchWarning] = []

    def warn(kind: str, text: str) -> None:
        found.append(BenchWarning(kind=kind, text=text))

    if site.roamed:
        warn(
            "threads",
            "not every thread stayed on the CPU that it was to measure from: the system does not "
            "let this process choose its CPUs, or moved them",
        )
    elsewhere = sorted({c.target for c in cells if c.bytes_on_target != c.measured_bytes})
    if elsewhere:
        warn(
            "placement",
            f"not all memory measured as node {', '.join(map(str, elsewhere))} could be seen "
            "there: `numapool doctor` says what is missing",
        )
    small = sorted({c.page_bytes for c in cells if c.page_bytes <= _core.base_page_bytes()})
    if small:
        warn(
            "pages",
            "no huge pages available: latencies include TLB misses",
        )
    figures = [cell.figure for cell in cells] + [point.latency_ns for point in report.loaded]
    unsteady = sum(not one.steady for one in figures)
    if unsteady:
        warn(
            "unsteady",
            f"{unsteady} of {len(figures)} figures of the matrices and curves were not steady "
            "when their time was up (marked ~)",
        )
    if site.left_out:
        warn(
            "left out",
            f"there was no time for {'; '.join(site.left_out[:3])}"
            + (f" and {len(site.left_out) - 3} more" if len(site.left_out) > 3 else "")
            + ": run without --quick",
        )
    return found

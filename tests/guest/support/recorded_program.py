"""A program on two nodes that spills and is trimmed, and writes what its metrics say meanwhile.

It runs inside a guest: ``python -m guest.support.recorded_program FILE``. FILE gets a line of
OpenMetrics for each sample, with the time (https://github.com/prometheus/OpenMetrics).
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numapool as nump

from .modules import load_module

_MIB = 1 << 20
_BLOCK = 8 * _MIB
_STEP_S = 0.5
_LABELS = 'job="app",instance="guest"'


class Recording:
    """What scrapes said, by series."""

    def __init__(self, collector: Any) -> None:
        self._collector = collector
        self._series: defaultdict[str, list[str]] = defaultdict(list)

    def scrape(self) -> None:
        """Read all metrics once."""
        at = time.time()
        for family in self._collector.collect():
            for sample in family.samples:
                named = "".join(f',{key}="{value}"' for key, value in sample.labels.items())
                series = f"{sample.name}{{{_LABELS}{named}}}"
                self._series[series].append(f"{series} {sample.value} {at:.3f}")

    def write(self, path: Path) -> None:
        """Write every sample, those of one series together."""
        by_name = sorted(self._series.items())
        lines = [line for _, some in by_name for line in some]
        path.write_text("\n".join([*lines, "# EOF", ""]))


def _serve(pool: nump.BufferPool) -> Iterator[None]:
    """Blocks are used again."""
    for turn in range(16):
        for block in [pool.acquire(_BLOCK, 1) for _ in range(2 + turn % 5)]:
            block.close()
        yield


def _fill(pool: nump.BufferPool, held: list[nump.NodeBuffer]) -> Iterator[None]:
    """More and more are held, until node 1 is full and others are given from node 0."""
    while pool.statistics().total.spills < 12:
        held += [pool.acquire(_BLOCK, 1) for _ in range(6)]
        yield
    for _ in range(6):
        yield


def _give_back(held: list[nump.NodeBuffer]) -> Iterator[None]:
    while held:
        for _ in range(min(len(held), 16)):
            held.pop().close()
        yield


def _run_short(nbytes: int) -> Iterator[None]:
    """A neighbour takes memory of node 1."""
    with nump.NumaAllocator().allocate(nbytes, 1):
        for _ in range(16):
            yield


def main(path: Path) -> None:
    """Serve, fill node 1 until requests spill, give back, and let node 1 become short."""
    load_module("virtio_balloon")
    cache, batches = nump.BufferPool(name="kv-cache"), nump.BufferPool(name="batches")
    half = nump.NumaTopology.detect().node(1).free_memory_bytes() // 2
    policy = nump.PressurePolicy(node_margin_bytes=half, hysteresis=0)
    held: list[nump.NodeBuffer] = []
    with nump.PressureMonitor(policy) as monitor, nump.run_on(1):
        monitor.attach(cache)
        monitor.attach(batches)
        recording = Recording(nump.MetricsCollector(monitor=monitor, balloon=nump.BalloonDriver()))
        steps = (_serve(cache), _fill(cache, held), _give_back(held), _run_short(half // 2))
        for number, _ in enumerate(chain(*steps)):
            for _ in range(10 + number % 7):
                batches.acquire(_MIB, 0).close()
            recording.scrape()
            if number == 8:
                print("serving", flush=True)  # the host takes memory now
            time.sleep(_STEP_S)
    recording.write(path)
    counts = cache.statistics().total
    print(f"spills {counts.spills}, trimmed {counts.trimmed_bytes} bytes", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

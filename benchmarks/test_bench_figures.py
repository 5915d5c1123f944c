"""Are the figures of ``numapool bench`` those of an independent tool, and is --quick quick?"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.support.figures import record
from benchmarks.support.textbook import Textbook, TextbookError
from numapool import _core
from numapool.bench import BenchOptions
from numapool.bench.latency import SEED, wait_ns, waiting_cpu
from numapool.bench.site import Site

WITHIN = 0.10
ROUNDS = 41
ROUND_S = 0.05
QUICK_S = 20.0


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The buffers that ``numapool bench`` measures, of the size that it chooses."""
    site = Site(BenchOptions())
    with site.placed():
        yield site


@pytest.fixture(scope="module")
def textbook(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Textbook]:
    """The textbook's array, as large."""
    source = site.sources[0]
    try:
        loops = Textbook(tmp_path_factory.mktemp("textbook"), site.size_bytes[source])
    except TextbookError as error:
        pytest.skip(str(error))
    yield loops
    loops.close()


def compare(
    benchmark: BenchmarkFixture,
    what: str,
    ours: Callable[[], float],
    peer: Callable[[], float],
    note: str,
) -> None:
    """Take turns, and record both; values are times.

    The fastest round of each is compared as well: on a busy machine it is the one that the others
    disturbed least.
    """
    own: list[float] = []
    its: list[float] = []

    def both() -> None:
        # They take turns to go first, so that neither always finds warm caches.
        for _ in range(2):
            if len(own) % 2 == 0:
                own.append(ours())
                its.append(peer())
            else:
                its.append(peer())
                own.append(ours())

    pedantic: Any = benchmark.pedantic  # it has no annotations
    pedantic(both, rounds=(ROUNDS + 1) // 2)
    figure = record(
        benchmark,
        what=what,
        peer="textbook loop in C",
        ours_ns=own,
        peer_ns=its,
        at_least=1 - WITHIN,
        at_most=1 + WITHIN,
        note=note,
    )
    assert figure.rounds >= ROUNDS
    record(
        benchmark,
        what=f"{what}, fastest round",
        peer="textbook loop in C",
        ours_ns=[min(own)],
        peer_ns=[min(its)],
        at_least=1 - WITHIN,
        at_most=1 + WITHIN,
    )


def test_latency(benchmark: BenchmarkFixture, site: Site, textbook: Textbook) -> None:
    source = site.sources[0]
    (cpu,) = waiting_cpu(site, source)
    circle = _core.BenchCircle(site.buffers[source], SEED)

    def ours() -> float:
        found = circle.chase([cpu], int(ROUND_S * 1e9), 1)
        assert found.stayed
        return wait_ns(found.rounds)[0]

    note = f"latency and read bandwidth over {site.size_bytes[source] >> 20} MiB, in huge pages"
    compare(benchmark, "a load that waits", ours, lambda: textbook.latency_ns(cpu, ROUND_S), note)


def test_read_bandwidth(benchmark: BenchmarkFixture, site: Site, textbook: Textbook) -> None:
    source = site.sources[0]
    cpus, buffer = site.cpus[source], site.buffers[source]

    def ours() -> float:
        read = _core.BenchKind.READ
        found = _core.bench_stream(read, buffer, cpus, int(ROUND_S * 1e9), 1)
        assert found.stayed
        return 1e9 * (1 << 30) / found.bytes_per_s[0]

    def peer() -> float:
        return 1e9 * (1 << 30) / textbook.read_bytes_s(cpus, ROUND_S)

    compare(benchmark, f"1 GiB read, {len(cpus)} CPUs", ours, peer, "")


def test_quick(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The whole command, from the start of Python to the end of the picture."""
    took: list[float] = []
    command = [sys.executable, "-m", "numapool", "bench", "--quick", "--json"]

    def once() -> str:
        began = time.perf_counter_ns()
        picture = str(tmp_path / "out.svg")
        done = subprocess.run(
            [*command, "--plot", picture], capture_output=True, text=True, check=True
        )
        took.append(time.perf_counter_ns() - began)
        return done.stdout

    pedantic: Any = benchmark.pedantic
    document = json.loads(pedantic(once, rounds=1))
    assert all(cell["verified"] for matrix in document["matrices"] for cell in matrix["cells"])
    left_out = [one["text"] for one in document["warnings"] if one["kind"] == "left out"]
    record(
        benchmark,
        what="bench --quick --plot",
        peer="20 s",
        ours_ns=took,
        peer_ns=[QUICK_S * 1e9] * len(took),
        at_most=1.0,
        note="; ".join(left_out),
    )

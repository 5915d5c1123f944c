"""How near do reads come to what the disk gives fio, with io_uring past the page cache?"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import numapool
from benchmarks.support.disk import file_on_disk
from benchmarks.support.figures import record

KIB, MIB = 1 << 10, 1 << 20
FILE_BYTES = 1 << 30
ROUNDS = 7
SMALL = 4 * KIB
SMALL_READS = 65_536
BATCH = 4096
LARGE = 4 * MIB

if shutil.which("fio") is None:
    pytest.skip("fio is not installed (Debian's package fio)", allow_module_level=True)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run took, in nanoseconds."""

    wall: float
    cpu: float


@pytest.fixture(scope="module")
def path(allocator: numapool.NumaAllocator) -> Iterator[Path]:
    """A file of 1 GiB on a disk, gone again at the end."""
    with file_on_disk(allocator, FILE_BYTES) as made:
        yield made


def by_fio(path: Path, pattern: str, block: int, depth: int, nbytes: int) -> Cost:
    """Return fio's own account, which leaves out its start."""
    done = subprocess.run(
        [
            *("fio", "--name=read", f"--filename={path}", "--readonly", "--direct=1"),
            *("--ioengine=io_uring", f"--rw={pattern}", f"--bs={block}", f"--iodepth={depth}"),
            *(f"--io_size={nbytes}", "--randrepeat=0", "--norandommap", "--output-format=json"),
        ],
        check=True,
        capture_output=True,
    )
    job = json.loads(done.stdout)["jobs"][0]
    wall = nbytes / job["read"]["bw_bytes"] * 1e9
    assert job["read"]["io_bytes"] == nbytes
    return Cost(wall=wall, cpu=wall * (job["usr_cpu"] + job["sys_cpu"]) / 100)


def measured(work: Callable[[], None]) -> Cost:
    """Return what `work` takes, on all threads of this process."""

    def cpu() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    before, started = cpu(), time.perf_counter()
    work()
    return Cost(wall=1e9 * (time.perf_counter() - started), cpu=1e9 * (cpu() - before))


def race_with_fio(
    benchmark: BenchmarkFixture,
    what: str,
    work: Callable[[], None],
    fio: Callable[[], Cost],
    at_most: float,
    repeats: int,
) -> None:
    """Record times, and times on CPUs, of runs in turns."""
    ours: list[Cost] = []
    peer: list[Cost] = []
    work()
    for _ in range(ROUNDS):
        peer.append(fio())
        ours.append(measured(work))
    benchmark.pedantic(work, rounds=1)  # type: ignore[no-untyped-call]
    for name, taken, most in (("wall", what, at_most), ("cpu", f"{what}, time on CPUs", None)):
        record(
            benchmark,
            what=taken,
            condition="direct",
            peer="fio, io_uring",
            ours_ns=[getattr(one, name) for one in ours],
            peer_ns=[getattr(one, name) for one in peer],
            at_most=most,
            repeats=repeats,
        )


def test_small_random_reads(benchmark: BenchmarkFixture, path: Path) -> None:
    chance = np.random.default_rng(1)
    places = chance.integers(0, FILE_BYTES // SMALL, (SMALL_READS // BATCH, BATCH)) * SMALL
    with numapool.BufferPool() as pool, pool.acquire(BATCH * SMALL) as block:

        def ours() -> None:
            for batch in places:
                done = numapool.read_many(path, batch, block, depth=32)
                assert (done.nbytes, done.way) == (BATCH * SMALL, "direct")

        race_with_fio(
            benchmark,
            "read_many, 4 KiB anywhere, depth 32",
            ours,
            lambda: by_fio(path, "randread", SMALL, 32, SMALL_READS * SMALL),
            1 / 0.9,
            SMALL_READS,
        )


@pytest.mark.parametrize("call", ["stream", "read_many"])
def test_large_reads_in_order(benchmark: BenchmarkFixture, path: Path, call: str) -> None:
    with numapool.BufferPool() as pool, pool.acquire(64 * LARGE) as block:

        def streamed() -> None:
            with numapool.stream(path, LARGE, 4) as stream:
                assert sum(one.nbytes for one in stream) == FILE_BYTES

        def batches() -> None:
            for start in range(0, FILE_BYTES, block.nbytes):
                offsets = range(start, start + block.nbytes, LARGE)
                done = numapool.read_many(path, offsets, block, depth=4)
                assert (done.nbytes, done.way) == (block.nbytes, "direct")

        race_with_fio(
            benchmark,
            f"{call}, 4 MiB in order, depth 4",
            streamed if call == "stream" else batches,
            lambda: by_fio(path, "read", LARGE, 4, FILE_BYTES),
            1 / 0.97,
            FILE_BYTES // LARGE,
        )

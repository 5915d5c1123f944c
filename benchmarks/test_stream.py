"""How fast is a large file read in blocks, and at what cost, beside np.fromfile and dd?"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import numapool
from benchmarks.support.disk import file_on_disk
from benchmarks.support.figures import record
from benchmarks.support.race import Contender, race

MIB = 1 << 20
FILE_BYTES = 2 << 30
BLOCK_BYTES = 4 * MIB
ROUNDS = 5
FROMFILE = "np.fromfile, 4 MiB blocks"
DD = "dd iflag=direct bs=1M"


@pytest.fixture(scope="module")
def path(allocator: numapool.NumaAllocator) -> Iterator[Path]:
    """A file of 2 GiB on a disk, gone again at the end."""
    with file_on_disk(allocator, FILE_BYTES) as made:
        yield made


def drop_cache(path: Path) -> None:
    """Have the kernel forget the file's pages, all of which are on the disk."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cpu_ns() -> float:
    """Time on CPUs of this process, its native threads, and children that have ended."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return 1e9 * sum(part.ru_utime + part.ru_stime for part in parts)


def by_fromfile(path: Path) -> int:
    done = 0
    with path.open("rb", buffering=0) as file:
        while len(block := np.fromfile(file, np.uint8, BLOCK_BYTES)):
            done += block.nbytes
    return done


def by_dd(path: Path) -> int:
    command = ["dd", f"if={path}", "of=/dev/null", "bs=1M", "iflag=direct", "status=none"]
    subprocess.run(command, check=True)
    return path.stat().st_size


def by_stream(path: Path) -> int:
    done = 0
    with numapool.stream(path, BLOCK_BYTES) as stream:
        for block in stream:
            done += block.nbytes
    assert stream.direct_bytes >= done // 4096 * 4096
    return done


def test_a_cold_file(benchmark: BenchmarkFixture, path: Path) -> None:
    cost: dict[str, list[float]] = {}

    def contender(name: str, read: Callable[[Path], int]) -> Contender:
        def work() -> None:
            before = cpu_ns()
            assert read(path) == FILE_BYTES
            cost.setdefault(name, []).append(cpu_ns() - before)

        return Contender(name=name, work=work)

    ours = contender("numapool", by_stream)
    peers = [contender(FROMFILE, by_fromfile)]
    if shutil.which("dd") is not None:
        peers.append(contender(DD, by_dd))
    taken = race(benchmark, ours, peers, rounds=ROUNDS, before=lambda contender: drop_cache(path))
    gib = FILE_BYTES >> 30
    for peer, at_most in ((FROMFILE, 1 / 1.3), (DD, 1.0)):
        if peer not in taken:
            continue
        record(
            benchmark,
            what="stream 1 GiB of a file",
            condition="cold",
            peer=peer,
            ours_ns=taken[ours.name],
            peer_ns=taken[peer],
            at_most=at_most,
            repeats=gib,
        )
    record(
        benchmark,
        what="the same, time on CPUs",
        condition="cold",
        peer=FROMFILE,
        ours_ns=cost[ours.name][:ROUNDS],
        peer_ns=cost[FROMFILE][:ROUNDS],
        at_most=0.5,
        repeats=gib,
        note="a virtual machine's disk is shared: compare times of one run only",
    )


def test_read_into(benchmark: BenchmarkFixture, path: Path) -> None:
    """One block at a time, without threads: what a storage engine does."""
    with numapool.BufferPool() as pool, pool.ring(BLOCK_BYTES, 1) as ring, ring.acquire() as block:
        array = np.empty(BLOCK_BYTES, np.uint8)

        def ours() -> None:
            for offset in range(0, FILE_BYTES // 4, BLOCK_BYTES):
                assert numapool.read_into(path, block, offset).way == "direct"

        def peer() -> None:
            with contextlib.closing(path.open("rb", buffering=0)) as file:
                for _ in range(0, FILE_BYTES // 4, BLOCK_BYTES):
                    assert file.readinto(memoryview(array)) == BLOCK_BYTES  # type: ignore[arg-type]

        contenders = Contender(name="numapool", work=ours), Contender(name="readinto", work=peer)
        taken = race(
            benchmark,
            contenders[0],
            [contenders[1]],
            rounds=ROUNDS,
            before=lambda contender: drop_cache(path),
        )
    record(
        benchmark,
        what="read_into 512 MiB in blocks of 4 MiB",
        condition="cold",
        peer="readinto of an open file",
        ours_ns=taken["numapool"],
        peer_ns=taken["readinto"],
    )

"""What does the pool's core cost, without Python, beside general-purpose allocators?"""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.support.figures import record
from benchmarks.support.races import pool_races

ROUNDS = 15
PEERS = ("mimalloc", "jemalloc", "tcmalloc", "malloc")


def _hand_over(benchmark: BenchmarkFixture, size: str, times: dict[str, list[float]]) -> None:
    record(
        benchmark,
        what=f"core: {size}, taken by one thread, given back by another",
        condition="retained, 16 at a time",
        peer="the same thread does both",
        ours_ns=times["numapool"],
        peer_ns=times["numapool kept"],
        at_most=2.0,
    )
    for peer in PEERS:
        if peer not in times:
            continue
        record(
            benchmark,
            what=f"core: {size}, taken by one thread, given back by another",
            condition="retained, 16 at a time",
            peer=peer,
            ours_ns=times["numapool"],
            peer_ns=times[peer],
        )


def test_acquire_and_release_in_the_core(benchmark: BenchmarkFixture) -> None:
    pedantic: Any = benchmark.pedantic  # it has no annotations
    races = pedantic(pool_races, args=(ROUNDS,), rounds=1)
    targets = {"65536": {"mimalloc": 3.0}, "1048576": {"mimalloc": 1 / 3, "jemalloc": 1 / 3}}
    for size, name in (("65536", "64 KiB"), ("1048576", "1 MiB")):
        times = races[size]
        for peer in PEERS:
            if peer not in times:
                continue
            record(
                benchmark,
                what=f"core: {name} acquire+release",
                condition="retained",
                peer=peer,
                ours_ns=times["numapool"],
                peer_ns=times[peer],
                at_most=targets[size].get(peer),
            )
        alone = races.get(f"threads {size}")
        if alone is None:
            continue
        record(
            benchmark,
            what=f"core: {name}, two threads",
            condition="retained",
            peer="one thread",
            ours_ns=alone["two threads"],
            peer_ns=alone["one thread"],
            at_most=1 / 1.7,
            note="time per cycle of both threads together",
        )
        _hand_over(benchmark, name, races[f"hand over {size}"])
    if "mimalloc" not in races["65536"]:
        pytest.skip("the peers mimalloc and jemalloc are not installed")

"""Times numapool and its peers in turns, so that the machine's noise hits all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to do the job.

    Parameters
    ----------
    name : str
        As the table of figures shows it.
    work : callable
        What is timed.
    undo : callable, optional
        Cleans up after `work`, given its result; not timed.
    """

    name: str
    work: Callable[[], Any]
    undo: Callable[[Any], object] | None = None

    def time_ns(self) -> int:
        """Do the work once; the time it took, in nanoseconds."""
        started = time.perf_counter_ns()
        result = self.work()
        took = time.perf_counter_ns() - started
        if self.undo is not None:
            self.undo(result)
        return took


def race(
    benchmark: BenchmarkFixture,
    ours: Contender,
    peers: Sequence[Contender],
    *,
    rounds: int,
    before: Callable[[Contender], object] = lambda contender: None,
) -> dict[str, list[int]]:
    """Run `rounds` rounds; in each, every peer once and then `ours`, which pytest-benchmark times.

    Parameters
    ----------
    before : callable
        Called ahead of each timed run, to bring the machine into the same state for all.

    Returns
    -------
    dict of str to list of int
        By contender's name, its times in nanoseconds, one for each round.
    """
    times: dict[str, list[int]] = {contender.name: [] for contender in (ours, *peers)}

    def setup() -> None:
        for peer in peers:
            before(peer)
            times[peer.name].append(peer.time_ns())
        before(ours)

    results: list[Any] = []

    def target() -> None:
        started = time.perf_counter_ns()
        result = ours.work()
        times[ours.name].append(time.perf_counter_ns() - started)
        results.append(result)

    def teardown() -> None:
        result = results.pop()
        if ours.undo is not None:
            ours.undo(result)

    pedantic: Any = benchmark.pedantic  # it has no annotations
    pedantic(target, setup=setup, teardown=teardown, rounds=rounds)
    # --benchmark-disable leaves teardown out, --benchmark-cprofile runs more targets.
    while results:
        teardown()
    complete = min(len(taken) for taken in times.values())
    return {name: taken[:complete] for name, taken in times.items()}

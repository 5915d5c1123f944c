"""Repeats a measurement until its median is steady, or time is up."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numapool.bench.report import Figure

#: The standard error of the median, in parts of it, below which it counts as steady.
STEADY = 0.01
LEAST_ROUNDS = 5
# Of a normal distribution: the median's standard error is 1.2533 sigma over the root of the rounds,
# and the quartiles are 1.349 sigma apart.
_MEDIAN_ERROR = 1.2533 / 1.349


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How long a round is, and all of them at most."""

    round_ns: int
    most_s: float


def is_steady(values: Sequence[float]) -> bool:
    """Whether the median of some rounds is known well enough."""
    if len(values) < LEAST_ROUNDS:
        return False
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return _MEDIAN_ERROR * (high - low) <= STEADY * middle * math.sqrt(len(values))


def figure_of(values: Sequence[float]) -> Figure:
    """Make a figure of the values of some rounds."""
    return Figure(
        median=statistics.median(values),
        lowest=min(values),
        highest=max(values),
        rounds=len(values),
        steady=is_steady(values),
    )


def repeat(sample: Callable[[int], Sequence[float]], pace: Pace) -> Figure:
    """Call ``sample(rounds)`` until what it returned, all together, is steady or time is up."""
    values: list[float] = []
    repeat_all(lambda count: [sample(count)], pace, [values])
    return figure_of(values)


def repeat_all(
    sample: Callable[[int], Sequence[Sequence[float]]], pace: Pace, into: Sequence[list[float]]
) -> None:
    """Do the same with several values of each round, until all are steady."""
    end = time.monotonic() + pace.most_s
    count = LEAST_ROUNDS
    while True:
        for values, new in zip(into, sample(count), strict=True):
            values.extend(new)
        if all(map(is_steady, into)) or time.monotonic() >= end:
            return
        left = (end - time.monotonic()) * 1e9
        count = max(1, min(LEAST_ROUNDS, int(left // max(pace.round_ns, 1))))

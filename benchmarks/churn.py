"""Ten million random acquires, closes and trims: does the pool's memory stay in bounds?

Run as ``python -m benchmarks.churn``. Prints one JSON document, and draws the memory in use and
resident over time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numapool

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SMALLEST, _LARGEST = 4 << 10, 64 << 20
_HEADER = 300  # bytes before the data of a message
_DAYS = 30  # the load rises and falls so many times
_TENTHS = 10  # each asks for the same at random: what grows from one to the next is the pool


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE


def _level(step: int, steps: int, most: int) -> int:
    """How many buffers are to live at this step: from a quarter of `most` to all, day by day."""
    phase = 0.5 - 0.5 * math.cos(2 * math.pi * _DAYS * step / steps)
    return round(most * (0.25 + 0.75 * phase))


def _size(uniform: float) -> int:
    """A size for a number from 0 to 1: density falls with the size to the power of 1.5."""
    least, most = 1 / math.sqrt(_LARGEST), 1 / math.sqrt(_SMALLEST)
    return int((most - uniform * (most - least)) ** -2)


def _frame(uniform: float) -> int:
    """The size of a message with an array: of 1 to 64 MiB, half of them powers of two."""
    power = uniform * 2 % 1 * 6
    mib = 2 ** (round(power) if uniform < 0.5 else power)
    return int(mib * (1 << 20)) + _HEADER


_SIZES = {"all": _size, "frames": _frame}


def churn(
    steps: int, most_live: int, samples: int, seed: int, size_of: Callable[[float], int] = _size
) -> Iterator[dict[str, float]]:
    """Acquire, close and trim at random; yield a sample of the memory now and then.

    Sizes run from 4 KiB to 64 MiB, each power of two asked for 0.71 times as often as the one
    below. One step in 5,000 trims.

    Parameters
    ----------
    steps : int
        Acquires, closes and trims in all.
    most_live : int
        Buffers alive at the height of a day.
    samples : int
        Samples of the memory, evenly spread over the steps, peaks included.
    seed : int
        Of the random numbers.
    size_of : callable
        Makes a size of a number from 0 to 1; the default is told above.
    """
    chance = random.Random()
    before = _resident_bytes()
    every = max(1, steps // samples)
    live: list[numapool.NodeBuffer] = []
    asked = 0
    peak = {"asked_bytes": 0, "in_use_bytes": 0, "resident_bytes": 0}
    with numapool.BufferPool() as pool:
        for step in range(1, steps + 1):
            if (step - 1) % (steps // _TENTHS) == 0:
                chance.seed(seed)
            if chance.random() < 0.0002:
                pool.trim(chance.randrange(_LARGEST))
            elif not live or len(live) < _level(step, steps, most_live) * 2 * chance.random():
                size = size_of(chance.random())
                live.append(pool.acquire(size))
                asked += size
            else:
                index = chance.randrange(len(live))
                live[index], live[-1] = live[-1], live[index]
                buffer = live.pop()
                asked -= buffer.nbytes
                buffer.close()
            if step % 100 == 0 or step % every == 0:
                now = {
                    "asked_bytes": asked,
                    "in_use_bytes": pool.statistics().total.in_use_bytes,
                    "resident_bytes": _resident_bytes() - before,
                }
                peak = {name: max(value, now[name]) for name, value in peak.items()}
            if step % every == 0:
                total = pool.statistics().total
                counts = {name: getattr(total, name) for name in ("hits", "larger_hits", "misses")}
                yield {"step": step, **counts, **peak}
                peak = dict.fromkeys(peak, 0)
        for buffer in live:
            buffer.close()


def draw(series: list[dict[str, float]], path: Path) -> None:
    """Plot memory in use and resident over the steps."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    steps = [point["step"] / 1e6 for point in series]
    figure, axes = pyplot.subplots(figsize=(9, 4), layout="constrained")
    for name, label, color in (
        ("resident_bytes", "resident", "#c0504d"),
        ("in_use_bytes", "in use, whole blocks", "#1f77b4"),
        ("asked_bytes", "in use, as asked for", "#9ecae1"),
    ):
        axes.plot(
            steps, [point[name] / 2**30 for point in series], label=label, color=color, linewidth=1
        )
    axes.set_xlabel("acquires, closes and trims (millions)")
    axes.set_ylabel("memory, peak of each interval (GiB)")
    axes.set_xlim(0, steps[-1])
    axes.set_ylim(0)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def summary(series: list[dict[str, float]], seconds: float) -> dict[str, float]:
    """What the run comes to: peaks, their ratio, and growth after the first tenth."""
    tenth = len(series) // 10

    def peak(name: str, points: list[dict[str, float]]) -> float:
        return max(point[name] for point in points)

    return {
        "steps": series[-1]["step"],
        "seconds": seconds,
        "cpu_seconds": time.process_time(),
        "hits": series[-1]["hits"],
        "larger_hits": series[-1]["larger_hits"],
        "misses": series[-1]["misses"],
        "peak_asked_bytes": peak("asked_bytes", series),
        "peak_in_use_bytes": peak("in_use_bytes", series),
        "peak_resident_bytes": peak("resident_bytes", series),
        "resident_to_in_use": peak("resident_bytes", series) / peak("in_use_bytes", series),
        "resident_to_asked": peak("resident_bytes", series) / peak("asked_bytes", series),
        "growth_after_first_tenth": peak("resident_bytes", series[tenth:])
        / peak("resident_bytes", series[:tenth])
        - 1,
    }


def main() -> None:
    """Run the churn as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.churn")
    parser.add_argument("--steps", type=int, default=10_000_000)
    parser.add_argument("--live", type=int, default=3000, help="buffers at the height of a day")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sizes", choices=_SIZES, default="all")
    parser.add_argument("--plot", type=Path, help="file to draw into, such as churn.svg")
    chosen = parser.parse_args()
    started = time.monotonic()
    series = []
    size_of = _SIZES[chosen.sizes]
    for point in churn(chosen.steps, chosen.live, chosen.samples, chosen.seed, size_of):
        series.append(point)
        if sys.stderr.isatty():
            print(f"\r{point['step'] / chosen.steps:6.1%}", end="", file=sys.stderr, flush=True)
    if chosen.plot:
        draw(series, chosen.plot)
    print(json.dumps(summary(series, time.monotonic() - started), indent=2))


if __name__ == "__main__":
    main()

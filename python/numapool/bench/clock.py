"""Divides the time among the figures, and tells how far the run has come."""

from __future__ import annotations

import time
from collections.abc import Callable

from numapool.bench.rounds import LEAST_ROUNDS, Pace

#: Called with what is being done, the share of the run that is over, and the seconds that are left.
Progress = Callable[[str, float, float], None]

# A quick run must end within 20 s; Python, and the measurement under way at the end, take some of
# it.
QUICK_S = 13.0
_MOST_S = 2.0  # for one figure of a full run
_ROUND_NS = 40_000_000
_SHORTEST_ROUND_NS = 2_000_000


class Clock:
    """The time of one run, of so many figures."""

    def __init__(self, figures: int, *, quick: bool, progress: Progress | None = None) -> None:
        self._began = time.monotonic()
        self._end = self._began + QUICK_S if quick else None
        self._figures = max(figures, 1)
        self._done = 0
        self._progress = progress

    def take(self, what: str) -> Pace | None:
        """Return the pace of the next figure; None where there is no time for it."""
        if self._progress is not None:
            self._progress(what, min(self._done / self._figures, 1.0), self._left_s())
        left = max(self._figures - self._done, 1)
        self._done += 1
        if self._end is None:
            return Pace(round_ns=_ROUND_NS, most_s=_MOST_S)
        share = (self._end - time.monotonic()) / left
        if self._end - time.monotonic() <= 0:
            return None
        most_s = min(share, _MOST_S)
        round_ns = int(most_s * 1e9 / (2 * LEAST_ROUNDS))
        return Pace(round_ns=min(max(round_ns, _SHORTEST_ROUND_NS), _ROUND_NS), most_s=most_s)

    def _left_s(self) -> float:
        """Return how long it will take yet, as far as the figures so far tell."""
        now = time.monotonic()
        each = (now - self._began) / self._done if self._done else _MOST_S
        left = each * max(self._figures - self._done, 0)
        return left if self._end is None else min(left, max(self._end - now, 0.0))

    def finish(self) -> float:
        """Tell that all is done; the time it took, in seconds."""
        if self._progress is not None:
            self._progress("done", 1.0, 0.0)
        return time.monotonic() - self._began

"""How much memory this process has given back since it was last asked."""

from __future__ import annotations

from numapool import _core
from numapool.base.errors import UnsupportedError
from numapool.base.locks import Rank, new_lock


class ResidencyAccount:
    """Remembers the most memory that the process was seen with (VmRSS and VmHWM of proc(5)).

    The kernel keeps the figures per CPU and adds them up in batches: they are off by up to some
    MiB on machines with many CPUs. Memory of hugetlb pages is not in them. Safe to use from many
    threads.
    """

    def __init__(self) -> None:
        self._lock = new_lock(Rank.RESIDENCY)
        self._highest_bytes = 0
        self._peak_bytes = 0
        self.look(first=True)

    def look(self, *, first: bool = False) -> int | None:
        """Take note of what is resident now, and return it in bytes; None where none can tell."""
        try:
            seen = _core.resident_memory()
        except UnsupportedError:
            return None
        now, peak = seen.now_bytes, seen.peak_bytes
        with self._lock:
            # A peak that was not there at the last look was reached since, unseen.
            reached = peak if peak > self._peak_bytes and not first else now
            self._highest_bytes = max(self._highest_bytes, now, reached)
            self._peak_bytes = max(peak, self._peak_bytes)
        return now

    def settle(self) -> tuple[int, int] | None:
        """Return the most that was resident since the last call, and what is now; begin anew."""
        now = self.look()
        if now is None:
            return None
        with self._lock:
            highest, self._highest_bytes = self._highest_bytes, now
        return max(highest, now), now

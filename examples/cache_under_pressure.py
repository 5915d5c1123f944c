"""A cache of arrays that shrinks when memory is short, and grows again when it is not.

Run it as ``python examples/cache_under_pressure.py``: it fills a cache in a pool, makes a real but
harmless memory stall (it drops and re-reads a file's pages), and shows what happens. The arrays in
use are never touched; what the cache lets go of goes back to the pool, and what the pool retains
goes back to the system.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
import numpy.typing as npt

import numapool as nump

MIB = 1 << 20
Array = npt.NDArray[np.float32]


class ArrayCache:
    """Keeps the arrays used last, in a pool's memory; gives up the oldest when it is asked to."""

    def __init__(self, pool: nump.BufferPool, most_bytes: int) -> None:
        self._pool = pool
        self._most_bytes = most_bytes
        self._arrays: OrderedDict[Hashable, Array] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays in the cache."""
        return self._bytes

    def get(self, key: Hashable, shape: tuple[int, ...], fill: Callable[[Array], None]) -> Array:
        """Return the array of that key; a new one is filled by `fill` first."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
                return self._arrays[key]
        array = nump.empty(shape, np.float32, pool=self._pool)
        fill(array)
        with self._lock:
            self._arrays[key] = array
            self._bytes += array.nbytes
        self.release(self._bytes - self._most_bytes)
        return array

    def release(self, wanted_bytes: int) -> int:
        """Let the oldest arrays go until `wanted_bytes` are released; return how many were.

        An array that somebody still uses stays valid: its memory comes back when they are done.
        """
        released = 0
        with self._lock:
            while self._arrays and released < wanted_bytes:
                _, array = self._arrays.popitem(last=False)
                released += array.nbytes
            self._bytes -= released
        return released


def stall_for(seconds: float) -> None:
    """Make the kernel count real stalls: drop the pages of a file in use, and read them again."""
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        file.write(os.urandom(64 * MIB))
        file.flush()
        os.fsync(file.fileno())
        pages = mmap.mmap(file.fileno(), 64 * MIB, prot=mmap.PROT_READ)
        end = time.monotonic() + seconds
        uses = 0
        while time.monotonic() < end:
            if uses >= 3:  # used often enough to count as needed
                pages.madvise(21)  # MADV_PAGEOUT
            sum(pages[at] for at in range(0, len(pages), 4096))
            uses += 1
        pages.close()


def main() -> None:
    """Fill the cache, put it under pressure, and fill it again."""
    with nump.BufferPool() as pool, nump.PressureMonitor() as monitor:
        cache = ArrayCache(pool, most_bytes=256 * MIB)
        monitor.attach(pool)

        def on_pressure(event: nump.PressureEvent) -> None:
            released = cache.release(event.bytes_to_release)
            trimmed = pool.trim(released) if released else 0
            what = f"asked for {event.demand_bytes // MIB} MiB" if event.level else "relieved"
            print(
                f"  {event.level.name:<8} {event.source:<7} {what}: the pool gave "
                f"{event.trimmed_bytes // MIB} MiB at once, the cache {trimmed // MIB} MiB more",
                flush=True,
            )

        def show(when: str) -> None:
            total = pool.statistics().total
            print(
                f"{when}: {cache.nbytes // MIB} MiB cached; the pool has "
                f"{total.in_use_bytes // MIB} MiB in use and {total.retained_bytes // MIB} MiB "
                "retained",
                flush=True,
            )

        def use_cache() -> None:
            for number in range(256):
                cache.get(number, (MIB // 4,), lambda array: array.fill(1.0))

        monitor.subscribe(on_pressure)
        use_cache()
        show("filled")
        print("a stall of 3 seconds begins", flush=True)
        stall_for(3)
        end = time.monotonic() + 10
        while monitor.level is not nump.PressureLevel.NONE and time.monotonic() < end:
            time.sleep(0.1)
        show("after it")
        use_cache()
        show("filled again")
        counts = monitor.statistics()
        print(f"the monitor sent {sum(counts.events_by_source.values())} events")


if __name__ == "__main__":
    main()

"""Warm and cold memory: whether the hypervisor still backs the pages that the system hands out."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.support.peers import BareCalls

# The guest reports pages that have been free for 2 s (mm/page_reporting.c); with a margin.
IDLE_SECONDS = 5.5
# A page that the hypervisor has to back anew costs tens of times as much; a busy machine does not.
COLD_FACTOR = 3.0

_BALLOON_DEVICE = 5  # virtio 1.2, 5: device types
_REPORTING_BIT = 5  # virtio 1.2, 5.5.3: VIRTIO_BALLOON_F_PAGE_REPORTING


# CPUs take from free lists of their own, and free memory merges into larger blocks: what a run
# gets is not just what was freed last.
_SPARE = 3


def warm_up(bare: BareCalls, length: int) -> float:
    """Have three times `length` bytes backed by the hypervisor, and free again.

    Then `length` bytes once more, as the first time brings back what was taken.

    Returns
    -------
    float
        Nanoseconds for one base page, the second time.
    """
    bare.use_once(_SPARE * length)
    return use_once_ns(bare, length) / (length / 4096)


def use_once_ns(bare: BareCalls, length: int) -> int:
    """Time that it takes to use `length` bytes once in huge pages, in nanoseconds."""
    started = time.perf_counter_ns()
    bare.use_once(length)
    return time.perf_counter_ns() - started


def reports_free_pages(root: Path = Path("/sys/bus/virtio/devices")) -> bool:
    """Whether a balloon device has agreed that free pages are reported to the hypervisor."""
    for device in root.glob("*"):
        try:
            kind = int((device / "device").read_text(), 16)
            features = (device / "features").read_text().strip()
        except (OSError, ValueError):
            continue
        if kind == _BALLOON_DEVICE and features[_REPORTING_BIT : _REPORTING_BIT + 1] == "1":
            return True
    return False

"""State of nodes and memory as sysfs and procfs tell it: free memory, allocation counters, CPUs."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NODES = Path("/sys/devices/system/node")
MIB = 1 << 20
_SETTLE_S = 120.0


def meminfo(node: int) -> dict[str, int]:
    """The lines of nodeN/meminfo in bytes, by name."""
    lines = (line.split() for line in (NODES / f"node{node}" / "meminfo").read_text().splitlines())
    return {words[2].rstrip(":"): int(words[3]) * 1024 for words in lines if words[-1] == "kB"}


def free_bytes(node: int) -> int:
    """Free memory of a node, now."""
    return meminfo(node)["MemFree"]


def unused_bytes(node: int) -> int:
    """Free memory of a node with what lies in the per-CPU lists, which MemFree leaves out."""
    pages, inside = 0, False
    for line in Path("/proc/zoneinfo").read_text().splitlines():
        words = line.split()
        if words[0] == "Node":
            inside = int(words[1].rstrip(",")) == node
        elif inside and words[0] in ("nr_free_pages", "count:"):
            pages += int(words[1])
    return pages * mmap.PAGESIZE


def settled_unused(node: int) -> int:
    """Unused memory of a node once it stands still: the kernel gives much back only later."""
    end = time.monotonic() + _SETTLE_S
    unused = unused_bytes(node)
    while time.monotonic() < end:
        time.sleep(0.2)
        before, unused = unused, unused_bytes(node)
        if abs(unused - before) < MIB:
            break
    return unused


def numastat(node: int) -> dict[str, int]:
    """Allocation counters of a node, in pages (Documentation/admin-guide/numastat.rst)."""
    lines = (NODES / f"node{node}" / "numastat").read_text().splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}


def wait_unused(node: int, at_least: int) -> int:
    """Unused memory of a node once it is ``at_least`` so much: freed pages take their time."""
    end = time.monotonic() + _SETTLE_S
    while (unused := unused_bytes(node)) < at_least and time.monotonic() < end:
        time.sleep(0.1)
    return unused


def drop_caches() -> None:
    """Empty the page cache and compact what is free, so that a test starts from a known state."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    Path("/proc/sys/vm/compact_memory").write_text("1")


@contextmanager
def on_cpus(cpus: set[int]) -> Iterator[None]:
    """Keep the calling thread on these CPUs meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def setting(path: Path | str, value: str) -> Iterator[None]:
    """Write a value to a kernel setting and what it was before back at the end."""
    file = Path(path)
    before = file.read_text().strip()
    if "[" in before:  # "always [madvise] never"
        before = before.partition("[")[2].partition("]")[0]
    file.write_text(value)
    try:
        yield
    finally:
        file.write_text(before)


@contextmanager
def reserved_huge_pages(node: int, count: int) -> Iterator[None]:
    """Reserve huge pages of 2 MiB on a node, and give them back at the end."""
    file = NODES / f"node{node}" / "hugepages" / "hugepages-2048kB" / "nr_hugepages"
    drop_caches()
    with setting(file, str(count)):
        assert int(file.read_text()) == count
        yield

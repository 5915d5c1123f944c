"""Where pages really are: numa_maps, and page by page pagemap and physical memory.

numa_maps(5) counts per mapping, and the kernel makes one mapping of neighbours that are alike, so
what is asked about is kept apart first. pagemap (Documentation/admin-guide/mm/pagemap.rst, root
sees frame numbers) tells the physical frame of each page, kpageflags what kind of page it is, and
sysfs tells which node owns that frame's memory block
(Documentation/admin-guide/mm/memory-hotplug.rst): sources that no memory policy call feeds.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PAGE_BYTES = mmap.PAGESIZE
_PRESENT = 1 << 63
_SWAPPED = 1 << 62
_FRAME_MASK = (1 << 55) - 1
_TRANSPARENT_HUGE = 1 << 22  # KPF_THP, include/uapi/linux/kernel-page-flags.h
_DONT_DUMP, _DO_DUMP = 16, 17  # madvise(2)
_NODES = Path("/sys/devices/system/node")
_libc = ctypes.CDLL(None, use_errno=True)


class Located(Protocol):
    """Memory with an address, as a NodeBuffer is."""

    @property
    def address(self) -> int: ...
    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """One line of numa_maps, with the end that /proc/self/maps gives for it."""

    start: int
    end: int
    policy: str
    bytes_by_node: dict[int, int]
    page_bytes: int


def mappings() -> list[Mapping]:
    """Every mapping of this process, ascending by address."""
    ends = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, _, end = line.split()[0].partition("-")
        ends[int(start, 16)] = int(end, 16)
    found = []
    for line in Path("/proc/self/numa_maps").read_text().splitlines():
        # Policies of two words: "weighted interleave:0-1", "prefer (many):0-1".
        one_word = line.replace("weighted ", "weighted-").replace("prefer (many)", "prefer-many")
        start_text, policy, *words = one_word.split()
        start_address = int(start_text, 16)
        if start_address not in ends:
            continue  # mapped between the two reads
        page = re.search(r"kernelpagesize_kB=(\d+)", line)
        page_bytes = int(page[1]) * 1024 if page else PAGE_BYTES
        counts = (re.fullmatch(r"N(\d+)=(\d+)", word) for word in words)
        found.append(
            Mapping(
                start=start_address,
                end=ends[start_address],
                policy=policy,
                bytes_by_node={
                    int(count[1]): int(count[2]) * page_bytes for count in counts if count
                },
                page_bytes=page_bytes,
            )
        )
    return found


@contextmanager
def _apart(memory: Located) -> Iterator[tuple[int, int]]:
    """Keep the mapping of ``memory`` apart from neighbours; yield the start and the end of it.

    Mappings are one only if their flags are equal, and whether memory is in core dumps is a flag
    that changes nothing else. Mappings of hugetlb are never joined, and may be longer than asked.
    """
    start = memory.address // PAGE_BYTES * PAGE_BYTES
    length = rounded_up(memory.address + memory.nbytes - start)
    place = ctypes.c_void_p(start), ctypes.c_size_t(length)
    divided = _libc.madvise(*place, _DONT_DUMP) == 0
    try:
        yield start, start + length
    finally:
        if divided:
            _libc.madvise(*place, _DO_DUMP)


def numa_maps(memory: Located) -> Mapping:
    """What numa_maps says of ``memory`` alone, in whole pages; it has one policy.

    Advice on huge pages divides memory into several mappings, which are added up.
    """
    with _apart(memory) as (start, end):
        found = [one for one in mappings() if one.start < end and one.end > start]
    assert found, f"no mapping covers {memory.address:#x}"
    policies = {one.policy for one in found}
    assert len(policies) == 1, f"{memory.address:#x} has several policies: {found}"
    counted: Counter[int] = Counter()
    for one in found:
        counted.update(one.bytes_by_node)
    return Mapping(
        start=found[0].start,
        end=found[-1].end,
        policy=policies.pop(),
        bytes_by_node=dict(counted),
        page_bytes=max(one.page_bytes for one in found),
    )


def frames(address: int, nbytes: int) -> list[int]:
    """Physical frame number of each page from ``address``; 0 where none is resident.

    Guests swap nothing: a page that is said to be swapped is being moved by the kernel (compaction)
    at this moment, and has a frame again in the next.
    """
    count = -(-nbytes // PAGE_BYTES)
    for _ in range(100):
        with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
            pagemap.seek(address // PAGE_BYTES * 8)
            entries = array("Q", pagemap.read(count * 8))
        if not any(entry & _SWAPPED for entry in entries):
            break
        time.sleep(0.01)
    return [entry & _FRAME_MASK if entry & _PRESENT else 0 for entry in entries]


def huge_bytes(memory: Located) -> int:
    """Bytes of ``memory`` that are in transparent huge pages, counted page by page."""
    huge = 0
    with Path("/proc/kpageflags").open("rb", buffering=0) as flags:
        for frame in frames(memory.address, memory.nbytes):
            if frame:
                flags.seek(frame * 8)
                (of_frame,) = array("Q", flags.read(8))
                huge += bool(of_frame & _TRANSPARENT_HUGE)
    return huge * PAGE_BYTES


def node_of_frame() -> dict[int, int]:
    """The node of each memory block, by block number; see :func:`frames_per_block`."""
    return {
        int(block.name.removeprefix("memory")): int(block.parent.name.removeprefix("node"))
        for block in _NODES.glob("node*/memory[0-9]*")
    }


def frames_per_block() -> int:
    """Pages of one memory block."""
    size = Path("/sys/devices/system/memory/block_size_bytes").read_text()
    return int(size, 16) // PAGE_BYTES


def bytes_by_node(memory: Located) -> dict[int, int]:
    """Resident bytes of ``memory`` on each node, counted page by page; whole pages."""
    block_frames = frames_per_block()
    blocks = Counter(
        frame // block_frames for frame in frames(memory.address, memory.nbytes) if frame
    )
    nodes = node_of_frame()
    counted: Counter[int] = Counter()
    for block, pages in blocks.items():
        counted[nodes[block]] += pages * PAGE_BYTES
    return dict(sorted(counted.items()))


def rounded_up(nbytes: int, page_bytes: int = PAGE_BYTES) -> int:
    """``nbytes`` in whole pages."""
    return -(-nbytes // page_bytes) * page_bytes

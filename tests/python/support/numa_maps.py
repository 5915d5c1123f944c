"""An independent witness of where pages are: the tests' own reading of numa_maps."""

from __future__ import annotations

from pathlib import Path


def bytes_by_node(start: int, end: int) -> dict[int, int]:
    """Sum the resident bytes by node of every mapping that starts inside [start, end)."""
    counted: dict[int, int] = {}
    for line in Path("/proc/self/numa_maps").read_text().splitlines():
        address, *fields = line.split()
        if not start <= int(address, 16) < end:
            continue
        pages: dict[int, int] = {}
        page_bytes = 4096
        for field in fields:
            key, _, value = field.partition("=")
            if key.startswith("N") and key[1:].isdigit():
                pages[int(key[1:])] = int(value)
            elif key == "kernelpagesize_kB":
                page_bytes = int(value) * 1024
        for node, count in pages.items():
            counted[node] = counted.get(node, 0) + count * page_bytes
    return counted

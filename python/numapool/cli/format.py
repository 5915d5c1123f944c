"""Sizes, lists of ids and rates as people read them on a screen."""

from __future__ import annotations

from collections.abc import Iterable

from numapool.text import ids_text, size_text

__all__ = ["cpus_text", "ids_text", "rate_text", "size_text"]

_SHORTEST_STRIDE = 4  # ids that "0-6:2" stands for, at least


def cpus_text(cpus: Iterable[int]) -> str:
    """Write CPUs as taskset(1) takes them, apart from the blanks at which a long line may break.

    Firmware that numbers CPUs in turns over the sockets makes long lists without a range; with a
    stride they stay short.

    >>> cpus_text([0, 2, 4, 6, 16, 17, 18])
    '0-6:2, 16-18'
    """
    ids = sorted(set(cpus))
    parts: list[str] = []
    at = 0
    while at < len(ids):
        end = at + 1
        while end + 1 < len(ids) and ids[end + 1] - ids[end] == ids[at + 1] - ids[at]:
            end += 1
        step = ids[end] - ids[end - 1] if end < len(ids) else 0
        if step == 1:
            parts.append(f"{ids[at]}-{ids[end]}")
        elif step and end - at + 1 >= _SHORTEST_STRIDE:
            parts.append(f"{ids[at]}-{ids[end]}:{step}")
        else:
            parts.append(str(ids[at]))
            end = at
        at = end + 1
    return ", ".join(parts) or "-"


def rate_text(bytes_s: int) -> str:
    """Write a bandwidth in GB/s, as memory's is given."""
    value = bytes_s / 1e9
    return f"{value:.0f} GB/s" if value >= 100 else f"{value:.1f} GB/s"

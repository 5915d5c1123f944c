"""Sizes and lists of ids as people read them."""

from __future__ import annotations

from collections.abc import Iterable

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def size_text(size_bytes: int) -> str:
    """Write a size in the largest unit that leaves at least 1, with three digits at most.

    >>> size_text(1536)
    '1.5 KiB'
    """
    value = float(size_bytes)
    unit = 0
    # What rounds to 1024 of a unit is 1 of the next.
    while unit < len(_UNITS) - 1 and round(value, 1 if value < 100 else 0) >= 1024:
        value /= 1024
        unit += 1
    digits = f"{value:.0f}" if unit == 0 or value >= 100 else f"{value:.1f}".removesuffix(".0")
    return f"{digits} {_UNITS[unit]}"


def ids_text(ids: Iterable[int], separator: str = ",") -> str:
    """Write ids as the kernel does: ranges and commas; ``-`` for none.

    >>> ids_text([0, 1, 2, 5])
    '0-2,5'
    """
    parts: list[list[int]] = []
    for one in sorted(set(ids)):
        if parts and parts[-1][1] == one - 1:
            parts[-1][1] = one
        else:
            parts.append([one, one])
    text = separator.join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
    return text or "-"

"""Sizes, lists of ids and rates as people read and write them."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which takes long to load
if TYPE_CHECKING:
    from collections.abc import Iterable

_LARGEST = 2**64 - 1
_LARGEST_ID = 65535  # no kernel has more CPUs or nodes
_SHORTEST_STRIDE = 4  # ids that "0-6:2" stands for, at least


def size_text(size_bytes: int) -> str:
    """Write a size in the largest unit that leaves at least 1, with three digits at most.

    >>> size_text(1536)
    '1.5 KiB'
    """
    from numapool import _core  # here: what writes lists of ids alone does without the core

    sign = "-" if size_bytes < 0 else ""
    return sign + _core.size_text(min(abs(size_bytes), _LARGEST))


def total_text(sizes_bytes: Iterable[int | None]) -> str:
    """Write a sum of sizes of which some may be unknown.

    >>> total_text([1024, None, 2048])
    'at least 3 KiB'
    """
    sizes = list(sizes_bytes)
    known = [size for size in sizes if size is not None]
    if not known and sizes:
        return "an unknown amount"
    return ("" if len(known) == len(sizes) else "at least ") + size_text(sum(known))


def printable(text: str) -> str:
    """Escape all but printable ASCII: a font may lack the rest, and any byte may be in a name."""
    return "".join(one if one.isascii() and one.isprintable() else ascii(one)[1:-1] for one in text)


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


def ids_of(text: str) -> list[int]:
    """Read ids as :func:`ids_text` writes them, ascending, each once.

    Raises
    ------
    ValueError
        The text is not such a list; the message says what is wrong.

    >>> ids_of("0-2,5")
    [0, 1, 2, 5]
    """
    ids: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = [first, last] if dash else [first, first]
        if not all(end.isascii() and end.isdigit() and len(end) <= 5 for end in ends):
            raise ValueError(f"{part.strip()!r} is not an id or a range, such as 0 or 0-3")
        low, high = map(int, ends)
        if high < low or high > _LARGEST_ID:
            raise ValueError(f"{part.strip()!r} is an invalid range")
        ids.update(range(low, high + 1))
    return sorted(ids)


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

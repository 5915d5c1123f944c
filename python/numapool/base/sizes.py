"""Sizes that people write, such as ``64MiB``, in bytes."""

from __future__ import annotations

import re

#: By what a size ends in, in lower case: decimal units (SI) and binary ones (IEC 80000-13).
_BYTES_OF = {"b": 1, "byte": 1, "bytes": 1}
for _power, _letter in enumerate("kmgtp", 1):
    _BYTES_OF[f"{_letter}b"] = 1000**_power
    _BYTES_OF[f"{_letter}ib"] = 1024**_power
_SIZE = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))? ?([A-Za-z]+)")


def bytes_of(text: str) -> int:
    """Return the bytes of a size with a unit, rounded down.

    >>> bytes_of("1.5GiB"), bytes_of("2 GB")
    (1610612736, 2000000000)

    Raises
    ------
    ValueError
        The text is not a size, has no unit, or has an ambiguous one ("64K").
    """
    found = _SIZE.fullmatch(text.strip())
    factor = _BYTES_OF.get(found[3].lower()) if found else None
    if found is None or factor is None:
        raise ValueError(f"{text!r} is not a size with a unit")
    fraction = found[2] or ""
    whole: int = 10 ** len(fraction)
    return int(found[1]) * factor + int(fraction or "0") * factor // whole

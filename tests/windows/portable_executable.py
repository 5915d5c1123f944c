"""What a Windows library imports, read from its file ("PE Format" in Microsoft's documentation)."""

from __future__ import annotations

import struct

_OPTIONAL_64_BIT = 0x20B
_BY_NUMBER = 1 << 63


def imports(content: bytes) -> dict[str, set[str]]:
    """Return the names of the imported functions by library, in lower case."""

    def word(at: int, form: str = "I") -> int:
        return int(struct.unpack_from(f"<{form}", content, at)[0])

    def text(at: int) -> str:
        return content[at : content.index(b"\0", at)].decode()

    header = word(0x3C)
    assert content[header : header + 4] == b"PE\0\0"
    optional = header + 24
    assert word(optional, "H") == _OPTIONAL_64_BIT
    first = optional + word(header + 20, "H")
    sections = [
        (word(at + 12), word(at + 8), word(at + 20))
        for at in range(first, first + 40 * word(header + 6, "H"), 40)
    ]

    def place(address: int) -> int:
        for begin, size, at in sections:
            if begin <= address < begin + size:
                return address - begin + at
        raise ValueError(f"no section holds {address:#x}")

    found: dict[str, set[str]] = {}
    descriptor = place(word(optional + 120))  # the second entry of the data directory
    while word(descriptor + 12):
        names = found.setdefault(text(place(word(descriptor + 12))).lower(), set())
        entry = place(word(descriptor))
        while value := word(entry, "Q"):
            if not value & _BY_NUMBER:
                names.add(text(place(value) + 2))  # past the hint
            entry += 8
        descriptor += 20
    return found

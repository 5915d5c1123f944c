"""What to measure, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field

#: The questions.
SECTIONS = (
    "latency",
    "bandwidth",
    "loaded",
    "caches",
    "pages",
    "reach",
    "migration",
    "allocators",
    "device",
)

LEAST_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchOptions:
    """What :func:`numapool.bench.run` measures.

    Attributes
    ----------
    quick : bool
        Take less than 20 s in all; what does not fit is left out, and said to be.
    size_bytes : int or None
        Memory measured on each node; None: several times what the caches hold.
    sections : tuple of str
        Which of :data:`SECTIONS`; ``"device"`` takes paths.
    paths : tuple of str
        Files or block devices to read from.
    """

    quick: bool = False
    size_bytes: int | None = None
    sections: tuple[str, ...] = SECTIONS
    paths: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        unknown = [name for name in self.sections if name not in SECTIONS]
        if unknown:
            raise ValueError(f"no such section: {unknown[0]!r}; there are {', '.join(SECTIONS)}")
        if self.size_bytes is not None and self.size_bytes < LEAST_BYTES:
            raise ValueError(f"size_bytes must be at least {LEAST_BYTES}, not {self.size_bytes}")

    def asks(self, section: str) -> bool:
        """Whether a question is to be asked."""
        return section in self.sections

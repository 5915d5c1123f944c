"""Random arguments, of a kind that finds edges, from whatever draws: Hypothesis or a fuzzer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

#: No machine has so much; from here down to MOST_BYTES there is what a machine might really have.
NO_MACHINE = 1 << 44
#: The most that one call may really get.
MOST_BYTES = 1 << 24

_EXPONENTS = (0, 8, 12, 16, 21, 31, 32, 36, 47, 52, 62, 63, 64, 128)


class Draw(ABC):
    """Four primitives, and the arguments that are made of them."""

    @abstractmethod
    def integer(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""

    @abstractmethod
    def real(self) -> float:
        """Return any float: the infinities and what is no number, too."""

    @abstractmethod
    def text(self, most: int) -> str:
        """Return a string of up to `most` characters."""

    @abstractmethod
    def data(self, most: int) -> bytes:
        """Return up to `most` bytes."""

    def flag(self) -> bool:
        return self.integer(0, 1) == 1

    def pick(self, *choices: Any) -> Any:
        return choices[self.integer(0, len(choices) - 1)]

    def edge(self) -> int:
        """Return an integer beside one at which something overflows."""
        return int(self.pick(1, -1) * ((1 << self.pick(*_EXPONENTS)) + self.integer(-1, 1)))

    def number(self) -> int:
        kind = self.integer(0, 3)
        if kind < 2:
            return self.integer(-3, 70_000)
        return self.edge() if kind == 2 else int.from_bytes(self.data(17), "little", signed=True)

    def other(self) -> Any:
        """Return what is no integer."""
        kind = self.integer(0, 6)
        if kind == 0:
            return None
        if kind == 1:
            return self.flag()
        if kind == 2:
            return self.real()
        if kind == 3:
            return self.text(8)
        if kind == 4:
            return self.data(8)
        return [self.number() for _ in range(self.integer(0, 2))] if kind == 5 else object()

    def anything(self) -> Any:
        return self.number() if self.integer(0, 3) else self.other()

    def size(self) -> Any:
        """Return a size that is small, or that no machine has, or none at all."""
        size = self.anything()
        if isinstance(size, int) and MOST_BYTES < size < NO_MACHINE:
            return size % MOST_BYTES
        return size

    def node(self) -> Any:
        kind = self.integer(0, 7)
        if kind < 5:
            return self.pick(None, 0, 0, 0, 1, -1, 3)
        return self.edge() if kind == 5 else self.other()

    def page_size(self) -> Any:
        if self.integer(0, 2):
            return self.pick("auto", "base", "transparent", "huge", "")
        return self.anything()

"""What a figure was at the last updates, in a line of characters."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

_LEVELS = {False: "▁▂▃▄▅▆▇█", True: "_.-=+*%#"}


class History:
    """Remembers the last values of figures, each by its name."""

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._values: dict[Hashable, deque[float]] = {}
        self._fresh: set[Hashable] = set()

    def add(self, name: Hashable, value: float) -> None:
        """Remember a value of this update."""
        self._values.setdefault(name, deque(maxlen=self._most)).append(value)
        self._fresh.add(name)

    def end_update(self) -> None:
        """Forget figures that this update did not have: processes that have ended, for instance."""
        for name in self._values.keys() - self._fresh:
            del self._values[name]
        self._fresh.clear()

    def line(self, name: Hashable, *, most: float | None = None, ascii_only: bool = False) -> str:
        """Draw the values between 0 and `most`, by default the largest of them."""
        values = self._values.get(name, ())
        top = max(values, default=0.0) if most is None else most
        levels = _LEVELS[ascii_only]
        if top <= 0:
            return levels[0] * len(values)
        steps = (int(min(max(value / top, 0.0), 1.0) * (len(levels) - 1) + 0.5) for value in values)
        return "".join(levels[step] for step in steps)

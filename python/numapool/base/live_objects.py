"""Objects that are alive, kept by weak references, for any number of threads at once."""

from __future__ import annotations

import itertools
import weakref
from typing import Generic, TypeVar

T = TypeVar("T")


class Living(Generic[T]):
    """Remembers objects while they are alive.

    Unlike with a :class:`weakref.WeakSet`, whose iteration fails where another thread adds an
    object, all of it may be used by many threads, and while objects die. It takes no lock: each
    step is one operation of a dictionary.
    """

    def __init__(self) -> None:
        self._references: dict[int, weakref.ref[T]] = {}
        self._keys = itertools.count()

    def add(self, one: T) -> None:
        """Remember `one`, until it dies."""
        key, forget = next(self._keys), self._references.pop
        self._references[key] = weakref.ref(one, lambda _: forget(key, None))

    def all(self) -> list[T]:
        """Return the objects that are alive now, the oldest first."""
        found = (reference() for reference in self._references.copy().values())
        return [one for one in found if one is not None]

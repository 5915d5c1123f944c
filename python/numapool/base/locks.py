"""The package's locks. A fork takes all of them, so that the child finds each of them free."""

from __future__ import annotations

import functools
import os
import threading
import time
from enum import IntEnum
from typing import Any, Self, TypeVar, overload

from numapool.base.live_objects import Living

T_co = TypeVar("T_co", covariant=True)


class Rank(IntEnum):
    """The order in which one thread, or a fork, takes locks; the core's own come after these."""

    METRICS = 0
    BALLOON = 1
    MONITOR = 2
    RESIDENCY = 3
    WARNED = 4
    POOL = 5


#: How long a fork waits for all of them together. What is not free by then is made anew in the
#: child.
PATIENCE_S = 1.0

_locks: dict[Rank, Living[threading.RLock]] = {rank: Living() for rank in Rank}
# By the thread that forks. It may hold a lock itself, and others may fork at the same time.
_taken: dict[int, list[threading.RLock]] = {}


def new_lock(rank: Rank) -> threading.RLock:
    """Return a lock that forks know, for as long as it lives.

    A thread that holds it may take it again, and takes locks of later ranks only. No code of users
    is called under it.
    """
    lock = threading.RLock()
    _locks[rank].add(lock)
    return lock


class cached_property(functools.cached_property[T_co]):
    """As that of :mod:`functools` is from Python 3.12 on: without a lock, which no fork knows.

    Threads that ask first at the same time each compute the value, and get the same one.
    """

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> T_co: ...
    def __get__(self, instance: object | None, owner: type[Any] | None = None) -> Self | T_co:
        if instance is None:
            return self
        name, kept = str(self.attrname), instance.__dict__
        if name not in kept:
            kept.setdefault(name, self.func(instance))
        value: T_co = kept[name]
        return value


def _all() -> list[threading.RLock]:
    return [lock for rank in Rank for lock in _locks[rank].all()]


def _before_fork() -> None:
    taken = _taken[threading.get_ident()] = []
    end = time.monotonic() + PATIENCE_S
    for lock in _all():
        if lock.acquire(timeout=max(0.0, end - time.monotonic())):
            taken.append(lock)


def _after_fork() -> None:
    for lock in reversed(_taken.pop(threading.get_ident(), [])):
        lock.release()


def _after_fork_in_child() -> None:
    taken = _taken.get(threading.get_ident(), [])
    for lock in _all():
        if not any(lock is one for one in taken):
            lock._at_fork_reinit()  # type: ignore[attr-defined]  # as the standard library does
    _after_fork()
    _taken.clear()  # of threads that the child does not have


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork,
        after_in_child=_after_fork_in_child,
    )

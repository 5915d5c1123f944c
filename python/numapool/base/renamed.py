"""Old names of parameters and attributes: they work for one more release, and name the new one.

A function that takes old names is called by a wrapper: what it warns of its caller about is one
frame further away (``FRAMES``).
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: What :func:`parameters` adds between a function and its caller, for ``stacklevel``.
FRAMES = 1


def warn_of(old: str, new: str, stacklevel: int = 3) -> None:
    """Issue the DeprecationWarning for a name that its caller should no longer use."""
    warnings.warn(
        f"{old} is deprecated and goes with the next release: use {new}",
        DeprecationWarning,
        stacklevel=stacklevel,
    )


def parameters(
    _by_position: tuple[int, str] = (0, ""), **new_by_old: str
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take parameters as it once did too, with a warning.

    Type checkers and ``inspect.signature`` see the new names alone.

    Parameters
    ----------
    _by_position : tuple
        How many arguments, ``self`` counted, go by position, and the names of those that once
        followed them.
    new_by_old : str
        New names by the old ones.

    Raises
    ------
    TypeError
        By the function: a parameter is given twice.
    """
    names = new_by_old.keys()
    most, once = _by_position
    followed = once.split()

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        called = f"{function.__qualname__}()".replace(".__init__", "")

        @functools.wraps(function)
        def taking_both(*args: P.args, **kwargs: P.kwargs) -> R:
            if kwargs and not names.isdisjoint(kwargs):
                _rename(called, new_by_old, kwargs)
            if followed and most < len(args) <= most + len(followed):
                given = dict(zip(followed, args[most:], strict=False))
                _name(called, given, kwargs)
                return function(*args[:most], **{**given, **kwargs})  # type: ignore[arg-type]
            return function(*args, **kwargs)

        return taking_both

    return decorate


def _rename(called: str, new_by_old: dict[str, str], kwargs: dict[str, Any]) -> None:
    for old in new_by_old.keys() & kwargs.keys():
        new = new_by_old[old]
        if new in kwargs:
            raise TypeError(f"{called} got {new} by two names, {old} and {new}: leave out {old}")
        warn_of(f"parameter {old} of {called}", new, 4)
        kwargs[new] = kwargs.pop(old)


def _name(called: str, given: dict[str, Any], kwargs: dict[str, Any]) -> None:
    for name in given.keys() & kwargs.keys():
        raise TypeError(f"{called} got {name} twice, by position and by name")
    first = next(iter(given))
    warn_of(f"{called} with {first} by position", f"{first}=", 4)


def attribute(owner: str, old: str, new: str) -> Any:
    """Return an attribute or method that answers as the new one does, with a warning."""

    def get(self: object) -> Any:
        warn_of(f"{owner}.{old}", new)
        return getattr(self, new)

    return property(get, doc=f"Deprecated: use :attr:`{new}`.")

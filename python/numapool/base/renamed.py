"""Old names of parameters and attributes: they work for one more release, and name the new one."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def warn_of(old: str, new: str, stacklevel: int = 3) -> None:
    """Issue the DeprecationWarning for a name that its caller should no longer use."""
    warnings.warn(
        f"{old} is deprecated and goes with the next release: use {new}",
        DeprecationWarning,
        stacklevel=stacklevel,
    )


def parameters(**new_by_old: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take parameters by their old names too, with a warning.

    Type checkers and ``inspect.signature`` see the new names alone.

    Raises
    ------
    TypeError
        By the function: a parameter is given by both names.
    """
    names = new_by_old.keys()

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        called = f"{function.__qualname__}()".replace(".__init__", "")

        @functools.wraps(function)
        def taking_both(*args: P.args, **kwargs: P.kwargs) -> R:
            if kwargs and not names.isdisjoint(kwargs):
                _rename(called, new_by_old, kwargs)
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


def attribute(owner: str, old: str, new: str) -> Any:
    """Return an attribute or method that answers as the new one does, with a warning."""

    def get(self: object) -> Any:
        warn_of(f"{owner}.{old}", new)
        return getattr(self, new)

    return property(get, doc=f"Deprecated: use :attr:`{new}`.")


def keyword_only(first: int, *names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take keyword-only parameters by position too, with a warning.

    Parameters
    ----------
    first : int
        How many arguments, ``self`` counted, may go by position.
    names : str
        The parameters that follow them, in their old order.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        called = f"{function.__qualname__}()".replace(".__init__", "")

        @functools.wraps(function)
        def taking_both(*args: P.args, **kwargs: P.kwargs) -> R:
            if first < len(args) <= first + len(names):
                given = dict(zip(names, args[first:], strict=False))
                for name in given.keys() & kwargs.keys():
                    raise TypeError(f"{called} got {name} twice, by position and by name")
                warn_of(f"{called} with {next(iter(given))} by position", f"{next(iter(given))}=")
                args, kwargs = args[:first], {**given, **kwargs}  # type: ignore[assignment]
            return function(*args, **kwargs)

        return taking_both

    return decorate

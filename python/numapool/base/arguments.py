"""Reads the arguments of public functions, and refuses wrong ones.

Every refusal says which parameter it is about, what that takes, and what it got:
``size_bytes must be an integer number of bytes, not '64MiB'``. The C++ bindings take their words
from here too.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Collection, Iterable
from typing import Any, SupportsIndex, TypeVar

from numapool.base.sizes import bytes_of

T = TypeVar("T")
PathLike = str | os.PathLike[str]
SizeLike = SupportsIndex | str
"""A number of bytes: an integer, or text with a unit, such as ``"64MiB"`` or ``"2GB"``."""

#: What most parameters of one kind take, in words.
BYTES = 'a number of bytes (an integer, or text with a unit, such as "64MiB" or "2GB")'
COUNT = "an integer"
NODE = "the id of a node (an integer)"
SECONDS = "a number of seconds"
PATH = "a path (str or os.PathLike of str)"

_MOST_ID = 2**31 - 1
_MOST_SHOWN = 60
_MOST_BITS = 200
_MOST_ITEMS = 4


def shown(value: object) -> str:
    """Write what a parameter got: short values as themselves, everything else by its type."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"an integer of {value.bit_length()} bits"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str | bytes):
        words = repr(value[:_MOST_SHOWN])
        return words if len(value) <= _MOST_SHOWN else f"{words}..."
    if isinstance(value, tuple | list) and len(value) <= _MOST_ITEMS:
        plain = [type(one).__name__ if type(one) in (tuple, list) else shown(one) for one in value]
        words = ", ".join(plain)
        return f"({words})" if isinstance(value, tuple) else f"[{words}]"
    return type(value).__name__


def must_be(name: str, takes: str, value: object) -> str:
    """Write that a parameter got what it does not take."""
    return f"{name} must be {takes}, not {shown(value)}"


def integer(name: str, value: SupportsIndex, takes: str = COUNT) -> int:
    """Return an argument as an int; TypeError unless it is an integer, of NumPy or any other."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(must_be(name, takes, value)) from None


def size(name: str, value: SizeLike, takes: str = BYTES) -> int:
    """Return a number of bytes; TypeError or ValueError for a number without a unit in text."""
    if type(value) is int:
        return value
    if isinstance(value, str):
        try:
            return bytes_of(value)
        except ValueError:
            raise ValueError(must_be(name, takes, value)) from None
    return integer(name, value, takes)


def size_at_least(name: str, value: SizeLike, least: int) -> int:
    """Return a number of bytes; ValueError below `least`."""
    found = size(name, value)
    if found < least:
        raise ValueError(must_be(name, f"at least {least}", found))
    return found


def node(name: str, value: SupportsIndex, takes: str = NODE) -> int:
    """Return the id of a node; a number too large for the core becomes an id that no node has."""
    if type(value) is int and 0 <= value <= _MOST_ID:
        return value
    return max(-_MOST_ID - 1, min(integer(name, value, takes), _MOST_ID))


def at_least(name: str, value: SupportsIndex, least: int, takes: str = COUNT) -> int:
    """Return an argument as an int; ValueError below `least`."""
    number = integer(name, value, takes)
    if number < least:
        raise ValueError(must_be(name, f"at least {least}", number))
    return number


def real(name: str, value: float, takes: str = SECONDS) -> float:
    """Return an argument as a float; TypeError unless it is a number."""
    try:
        if isinstance(value, str | bytes | bytearray):  # float() would read their digits
            raise TypeError
        return float(value)
    except TypeError:
        raise TypeError(must_be(name, takes, value)) from None
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def wait(name: str, value: float) -> float:
    """Return how long to wait at most, in seconds."""
    seconds = real(name, value, f"{SECONDS} or None")
    if math.isnan(seconds) or seconds < 0:
        raise ValueError(must_be(name, "None or at least 0", value))
    return seconds


def flag(name: str, value: object) -> bool:
    """Return an argument as a bool; TypeError for what only counts as true, such as ``"no"``."""
    if value is True or value is False:
        return value
    if type(value).__name__ in ("bool", "bool_"):  # NumPy's
        return bool(value)
    if isinstance(value, int) and value in (0, 1):
        return value == 1
    raise TypeError(must_be(name, "True or False", value))


def flags(**values: object) -> None:
    """Check several flags, by their names."""
    for name, value in values.items():
        flag(name, value)


def text(name: str, value: object) -> str:
    """Return an argument that is a str."""
    if not isinstance(value, str):
        raise TypeError(must_be(name, "a str", value))
    return value


def choice(name: str, value: object, allowed: Collection[str]) -> str:
    """Return an argument that is one of several words."""
    if isinstance(value, str) and value in allowed:
        return value
    *most, last = map(repr, allowed)
    takes = f"{', '.join(most)} or {last}"
    raise (ValueError if isinstance(value, str) else TypeError)(must_be(name, takes, value))


def path(name: str, value: object, *, as_bytes: bool = False) -> str:
    """Return a path as a str; `as_bytes` takes paths of bytes too."""
    try:
        found = os.fspath(value)  # type: ignore[call-overload]
    except TypeError:
        found = None
    if as_bytes and isinstance(found, bytes):
        found = os.fsdecode(found)
    if not isinstance(found, str):
        raise TypeError(must_be(name, PATH, value))
    if "\0" in found:
        raise ValueError(f"{must_be(name, 'a path', found)}: it contains a null character")
    return found


def instance(name: str, value: object, kind: type[T]) -> T:
    """Return an argument that is of a class."""
    if not isinstance(value, kind):
        raise TypeError(must_be(name, f"a {kind.__name__}", value))
    return value


def optional_instance(name: str, value: object, kind: type[T]) -> T | None:
    """Return an argument that is of a class, or None."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(must_be(name, f"a {kind.__name__} or None", value))
    return value


def function(name: str, value: Callable[..., Any]) -> Callable[..., Any]:
    """Return an argument that can be called."""
    if not callable(value):
        raise TypeError(must_be(name, "callable", value))
    return value


def items(name: str, value: object, takes: str) -> list[Any]:
    """Return the items of an iterable argument; a str does not count as one."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(must_be(name, takes, value))
    return list(value)


def nodes(name: str, value: object) -> list[int]:
    """Return the ids of an argument that is an iterable of nodes, ascending, each once."""
    takes = "an iterable of node ids (integers)"
    found = items(name, value, takes)
    return sorted({node(f"each of {name}", one) for one in found})

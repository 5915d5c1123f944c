"""Builds records from what JSON gives, checked by the types of their fields."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Record = TypeVar("_Record", bound="DataclassInstance")


def record_of(kind: type[_Record], fields: Any, where: str) -> _Record:
    """Build a record from an object of JSON; what is there too much is let pass.

    Parameters
    ----------
    kind : type
        A dataclass; its fields are of simple types, records, or tuples and dictionaries of them.
    fields : object
        What JSON gave.
    where : str
        Where it is in the document, for errors.

    Raises
    ------
    ValueError
        Something without a default is missing, or of another type; the message says what, and
        where.
    """
    if not isinstance(fields, dict):
        raise ValueError(f"{where or 'the document'} must be an object")
    hints = typing.get_type_hints(kind)
    optional = {
        one.name for one in dataclasses.fields(kind) if one.default is not dataclasses.MISSING
    }
    wanted = {name: hint for name, hint in hints.items() if name in fields or name not in optional}
    missing = [name for name in wanted if name not in fields]
    if missing:
        raise ValueError(f"{where or 'the document'} has no {missing[0]!r}")
    values = {
        name: _value(hint, fields[name], f"{where}.{name}" if where else name)
        for name, hint in wanted.items()
    }
    return kind(**values)


def _value(hint: Any, value: Any, where: str) -> Any:
    """Check a value against its type, and build the records in it."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in inner:
            return None
        return _value(next(one for one in inner if one is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{where} must be a list")
        return tuple(_value(inner[0], one, f"{where}[{i}]") for i, one in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object")
        try:
            return {inner[0](key): one for key, one in value.items()}
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    if dataclasses.is_dataclass(hint):
        return record_of(typing.cast("type[Any]", hint), value, where)
    number = hint is float and isinstance(value, int) and not isinstance(value, bool)
    if not number and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise ValueError(f"{where} is {value!r}, not of type {hint.__name__}")
    return value

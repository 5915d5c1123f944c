"""What crosses from the core to Python: named records and bound enums, never tuples to unpack."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator
from pathlib import Path

import pytest

import numapool as nump
from numapool import _core

#: What others have laid down: pickling, and the protocol of DLPack.
OTHERS = {"__getstate__", "__dlpack_device__"}


def mixed_tuples(text: str) -> Iterator[str]:
    """Yield the functions of a stub whose result holds a tuple other than ``tuple[X, ...]``."""
    tree = ast.parse(text)
    aliases = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def is_mixed(annotation: ast.expr) -> bool:
        for node in ast.walk(annotation):
            if isinstance(node, ast.Name) and node.id in aliases and is_mixed(aliases[node.id]):
                return True
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "tuple":
                parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
                if len(parts) != 2 or ast.unparse(parts[1]) != "...":
                    return True
        return False

    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef)
            and node.returns is not None
            and is_mixed(node.returns)
        ):
            yield node.name


def test_a_tuple_is_found() -> None:
    stub = """
_Pair = tuple[int, str]
def f() -> list[_Pair] | None: ...
def g() -> tuple[int, ...]: ...
class C:
    def h(self) -> tuple[int, int]: ...
"""
    assert list(mixed_tuples(stub)) == ["f", "h"]


def test_no_function_returns_a_tuple_to_unpack() -> None:
    stub = Path(nump.__file__).with_name("_core.pyi").read_text()
    assert set(mixed_tuples(stub)) <= OTHERS


def test_records_are_read_by_name_alone() -> None:
    least = _core.available()
    assert repr(least) == f"Available(size_bytes={least.size_bytes}, limit={least.limit!r})"
    with pytest.raises(AttributeError):
        least.size_bytes = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        iter(least)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="cannot create"):
        type(least)()


@pytest.mark.parametrize("name", ["AllocationStep", "PressureLevel"])
def test_public_enums_are_those_of_the_core(name: str) -> None:
    public: type[enum.Enum] = getattr(nump, name)
    assert list(public.__members__) == list(getattr(_core, name).__members__)

"""What the C++ sources must not contain, where no compiler says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"
if not CSRC.is_dir():
    pytest.skip("the sources are not beside the tests", allow_module_level=True)


def statements(*folders: str) -> Iterator[tuple[str, str]]:
    """Yield (file and line, code) of each statement's first line, without comments."""
    for folder in folders:
        for path in sorted((CSRC / folder).rglob("*.[ch]pp")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                yield f"{path.relative_to(CSRC)}:{number}", line.split("//")[0].strip()


def made_at_first_use(code: str) -> bool:
    """Whether `code` begins a static variable that the compiler guards with a lock."""
    if not re.match(r"(constexpr |constinit |inline |const )*static\b", code):
        return False
    before_value = re.split(r"=|\{", code)[0]
    is_function = "(" in before_value
    return not is_function and not re.search(r"\b(constexpr|constinit)\b", before_value)


def test_the_search_finds_what_it_is_for() -> None:
    assert made_at_first_use("static const Interface found = find();")
    assert made_at_first_use("static PyObject* const nothing = [] {")
    assert made_at_first_use("static std::mutex mutex;")
    assert not made_at_first_use("constinit static std::atomic<int> known{0};")
    assert not made_at_first_use("static constexpr int kMost = 3;")
    assert not made_at_first_use("static void keep(int much = 3) noexcept;")


def test_no_static_of_the_bindings_is_made_under_a_guard() -> None:
    """Making it may run Python code, which gives the GIL away: two threads wait for each other."""
    assert [at for at, code in statements("bindings") if made_at_first_use(code)] == [], (
        "make it constexpr, constinit, or a MadeOnce (csrc/bindings/made_once.hpp)"
    )

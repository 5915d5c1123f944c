"""What the C++ sources must not contain, where no compiler says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"
if not CSRC.is_dir():
    pytest.skip("the sources are not beside the tests", allow_module_level=True)

#: Where there are forks and locks: not on Windows, nor where the system is unknown.
OURS = ("include", "src", "bindings", "platform/linux", "platform/*.hpp")

#: Locks, and what waits under one, that forks know nothing of.
FOREIGN_LOCK = re.compile(
    r"\b(std::(\w*mutex|condition_variable\w*|once_flag|call_once|atomic_flag|\w*semaphore)"
    r"|pthread_(mutex|rwlock|spin|cond|once)\w*|sem_t|PyMutex|PyThread_\w*lock\w*)\b"
)


def statements(*folders: str) -> Iterator[tuple[str, str]]:
    """Yield (file and line, code) of each statement's first line, without comments."""
    for folder in folders:
        at = CSRC / folder
        for path in sorted(at.rglob("*.[ch]pp") if at.is_dir() else CSRC.glob(folder)):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                yield f"{path.relative_to(CSRC)}:{number}", line.split("//")[0].strip()


def made_at_first_use(code: str) -> bool:
    """Whether `code` begins a static variable that the compiler guards with a lock."""
    if not re.match(r"(constexpr |constinit |inline |const )*static\b", code):
        return False
    if re.match(r"static (inline\b|const [^={]*;)", code):
        return False  # of a class: nothing else is inline, or constant without a value
    before_value = re.split(r"=|\{", code)[0]
    is_function = "(" in before_value
    is_constant = re.search(r"\b(constexpr|constinit)\b", before_value) or re.match(
        r"static std::atomic<[\w:]+> \w+\{\w+\}", code
    )
    return not is_function and not is_constant


def is_foreign_lock(code: str) -> bool:
    """Whether `code` names a lock that is not of platform/locks.hpp, other than to hold one."""
    without_guards = re.sub(r"std::(unique_lock|lock_guard|scoped_lock)<[\w:]+>", "", code)
    return FOREIGN_LOCK.search(without_guards) is not None and not code.startswith("#include")


def test_the_search_finds_what_it_is_for() -> None:
    assert made_at_first_use("static const Interface found = find();")
    assert made_at_first_use("static PyObject* const nothing = [] {")
    assert made_at_first_use("static std::mutex mutex;")
    assert not made_at_first_use("constinit static std::atomic<int> known{0};")
    assert not made_at_first_use("static constexpr int kMost = 3;")
    assert not made_at_first_use("static void keep(int much = 3) noexcept;")
    assert not made_at_first_use("static std::atomic<bool> missing{false};")
    assert is_foreign_lock("mutable std::mutex mutex_;")
    assert is_foreign_lock("std::atomic_flag flag_;")
    assert is_foreign_lock("std::condition_variable wake_;")
    assert not is_foreign_lock("std::unique_lock<std::mutex> lock(mutex_);")


def test_no_static_is_made_under_a_guard() -> None:
    """Its guard is a lock: no fork takes it, and Python code under it gives the GIL away."""
    assert [at for at, code in statements(*OURS) if made_at_first_use(code)] == [], (
        "make it constexpr, constinit, a variable of the namespace, or in the bindings a MadeOnce "
        "(csrc/bindings/made_once.hpp)"
    )


def test_forks_know_every_lock() -> None:
    """A lock that another thread holds as the process forks stays locked in the child for ever."""
    unknown = [
        at
        for at, code in statements(*OURS)
        if is_foreign_lock(code) and at.split(":")[0] != "platform/locks.hpp"
    ]
    assert unknown == [], "use Mutex, SpinLock or Condition (csrc/platform/locks.hpp)"


def test_every_rank_of_a_lock_has_its_lock() -> None:
    ranks = re.findall(r"^  (k\w+),", (CSRC / "platform/locks.hpp").read_text(), re.MULTILINE)
    used = {rank for _, code in statements(*OURS) for rank in re.findall(r"LockRank::(k\w+)", code)}
    assert sorted(used) == sorted(ranks)
    page = (CSRC.parent / "docs" / "architecture.md").read_text()
    listed = re.findall(r"^\| `(k\w+)` \|", page, re.MULTILINE)
    assert listed == ranks[:-1], "docs/architecture.md lists the locks in their order"

"""Which part may use which, in Python and in C++, and that nothing uses each other in a circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "numapool"
CSRC = ROOT / "csrc"
if not CSRC.is_dir():
    pytest.skip("the sources are not beside the tests", allow_module_level=True)

#: From the lowest floor to the highest: a package imports from itself and from what is before it.
FLOORS = (
    "_core", "base", "machine", "memory", "pools", "arrays", "threads", "processes", "pressure",
    "balloon", "storage", "metrics", "engines", "probes", "bench", "picture", "testing", "cli",
    "__main__",
)  # fmt: skip

#: Modules for users of another library, which nothing of ours imports: the floor that each is on.
LEAVES = {"arrays.torch": "processes", "testing.fixtures": "testing"}

#: The same of the core: what the sources of a folder may include, apart from their own folder's.
_LINUX_BASE = ("platform", "platform/linux/files", "platform/linux/kernel")
_CORE = ("platform", "include/numapool")
MAY_INCLUDE = {
    "platform": (),
    "platform/fake": ("platform",),
    "platform/unsupported": ("platform",),
    "platform/windows": ("platform",),
    "platform/linux/files": ("platform",),
    "platform/linux/kernel": ("platform",),
    "platform/linux/machine": _LINUX_BASE,
    "platform/linux/memory": (*_LINUX_BASE, "platform/linux/machine"),
    "platform/linux/devices": _LINUX_BASE,
    "platform/linux/host": _LINUX_BASE,
    "platform/linux/storage": _LINUX_BASE,
    "platform/linux/pressure": (
        *_LINUX_BASE,
        "platform/linux/machine",
        "platform/linux/memory",
        "platform/linux/host",
    ),
    "include/numapool": ("platform",),
    "src/machine": _CORE,
    "src/memory": _CORE,
    "src/pool": (*_CORE, "src/memory"),
    "src/stream": (*_CORE, "src/memory"),
    "src/pressure": _CORE,
    "src/bench": (*_CORE, "src/memory"),
    "bindings": _CORE,
}


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported_by(text: str) -> Iterator[str]:
    """Yield the modules of the package that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "modules are imported by their whole name"
            names = [f"{node.module}.{one.name}" for one in node.names]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top == "numapool":
                known = rest in MODULES or rest == "_core"
                yield rest if known else rest.rpartition(".")[0]


GRAPH = {name: sorted(set(imported_by(path.read_text()))) for name, path in MODULES.items()}


def included_by(path: Path) -> Iterator[Path]:
    """Yield the files of csrc that a source includes."""
    for name in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE):
        places = (path.parent, CSRC, CSRC / "include", CSRC / "src")
        yield next(place / name for place in places if (place / name).exists())


INCLUDES = {path: sorted(set(included_by(path))) for path in sorted(CSRC.rglob("*.[ch]pp"))}


def circles(graph: dict[str, list[str]]) -> list[list[str]]:
    """Return the circles that a walk along the imports finds."""
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> None:
        if name in way:
            found.append([*way[way.index(name) :], name])
        elif name not in done:
            for one in graph.get(name, []):
                walk(one, [*way, name])
            done.add(name)

    for name in graph:
        walk(name, [])
    return found


def test_a_circle_is_found() -> None:
    graph = {"a": ["b"], "b": ["c"], "c": ["b", "d"], "d": []}
    assert circles(graph) == [["b", "c", "b"]]
    assert list(imported_by("def f():\n    from numapool.pools.pool import BufferPool")) == [
        "pools.pool"
    ]
    assert list(imported_by("from numapool import _core, NodeBuffer")) == ["_core", ""]


def test_no_modules_import_each_other() -> None:
    assert circles({name: one for name, one in GRAPH.items() if name}) == []


def test_every_package_has_a_floor() -> None:
    assert {name.partition(".")[0] for name in MODULES} - {""} == set(FLOORS) - {"_core"}


def floor_of(name: str) -> int:
    return FLOORS.index(LEAVES.get(name, name.partition(".")[0]))


def test_imports_go_down() -> None:
    """Only ``numapool/__init__.py``, the list of public names, imports from every floor."""
    up = [
        f"{name} imports {one or 'numapool itself'}"
        for name, imported in GRAPH.items()
        for one in imported
        if name and (not one or floor_of(one) > floor_of(name))
    ]
    assert up == [], f"packages from the lowest floor up: {', '.join(FLOORS)}"


def test_nothing_imports_what_is_for_users_of_another_library() -> None:
    assert {one for imported in GRAPH.values() for one in imported} & set(LEAVES) == set()


def test_files_have_one_idea() -> None:
    """The first line of each module says it."""
    for name, path in MODULES.items():
        first = ast.get_docstring(ast.parse(path.read_text()))
        assert first and first.splitlines()[0].endswith((".", ":")), name


def test_sources_include_from_floors_below() -> None:
    floors = {str(path.parent.relative_to(CSRC)) for path in INCLUDES}
    assert floors == set(MAY_INCLUDE), "a folder of csrc has a line in MAY_INCLUDE"
    across = [
        f"{path.relative_to(CSRC)} includes {one.relative_to(CSRC)}"
        for path, included in INCLUDES.items()
        for one in included
        if one.parent != path.parent
        and str(one.parent.relative_to(CSRC)) not in MAY_INCLUDE[str(path.parent.relative_to(CSRC))]
    ]
    assert across == []
    assert circles({one: list(may) for one, may in MAY_INCLUDE.items()}) == []
    assert circles({str(path): list(map(str, one)) for path, one in INCLUDES.items()}) == []


def test_files_of_the_core_have_one_idea() -> None:
    """The first line of each file says it."""
    assert [
        str(path.relative_to(CSRC))
        for path in INCLUDES
        if not re.match(r"// \S.{10,}", path.read_text())
    ] == []

"""Which package may import which, and that no modules import each other in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "python" / "numapool"
if not PACKAGE.is_dir():
    pytest.skip("the sources are not beside the tests", allow_module_level=True)

#: From the lowest floor to the highest: a package imports from itself and from what is before it.
FLOORS = (
    "_core", "base", "machine", "memory", "pools", "arrays", "threads", "pressure", "balloon",
    "storage", "metrics", "probes", "bench", "picture", "cli", "__main__",
)  # fmt: skip


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


def test_imports_go_down() -> None:
    """Only ``numapool/__init__.py``, the list of public names, imports from every floor."""
    up = [
        f"{name} imports {one or 'numapool itself'}"
        for name, imported in GRAPH.items()
        for one in imported
        if name
        and (not one or FLOORS.index(one.partition(".")[0]) > FLOORS.index(name.partition(".")[0]))
    ]
    assert up == [], f"packages from the lowest floor up: {', '.join(FLOORS)}"


def test_files_have_one_idea() -> None:
    """The first line of each module says it."""
    for name, path in MODULES.items():
        first = ast.get_docstring(ast.parse(path.read_text()))
        assert first and first.splitlines()[0].endswith((".", ":")), name

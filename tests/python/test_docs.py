"""The documentation: every name is in the reference, every example runs, every figure is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import child
from support.docs import DOCS, README, Block, blocks_of, pages

import numapool as nump
from numapool import bench

if not DOCS.is_dir():
    pytest.skip("the documentation is not beside the tests", allow_module_level=True)

_PACKAGE = DOCS.parent / "python" / "numapool"


def exported_by(module: str) -> list[str]:
    """Return what a module exports, by its source: an engine may not be installed here."""
    found = re.search(r"^__all__ = \[(.*?)\]", (_PACKAGE / module).read_text(), re.DOTALL | re.M)
    assert found is not None
    return re.findall(r'"(\w+)"', found[1])


_LISTED = [
    *(set(nump.__all__) - {"__version__"}),
    *(f"bench.{name}" for name in bench.__all__ if name != "SECTIONS"),
    *(f"engines.dask.{name}" for name in exported_by("engines/dask/__init__.py")),
    *(f"arrays.torch.{name}" for name in exported_by("arrays/torch.py")),
    *(f"engines.joblib.{name}" for name in exported_by("engines/joblib.py")),
    *(f"engines.ray.{name}" for name in exported_by("engines/ray.py")),
    *(f"testing.{name}" for name in exported_by("testing/__init__.py")),
    *(f"metrics.dashboards.{name}" for name in exported_by("metrics/dashboards.py")),
    *(f"metrics.otel.{name}" for name in exported_by("metrics/otel.py")),
]


def test_every_public_name_is_in_the_reference_once() -> None:
    text = "".join(page.read_text() for page in sorted((DOCS / "api").glob("*.md")))
    listed = re.findall(r"^\.\. auto(?!summary)\w+:: numapool\.([\w.]+)", text, re.MULTILINE)
    assert sorted(listed) == sorted(_LISTED)


def test_the_landing_page_of_the_reference_sums_up_every_public_name() -> None:
    names = []
    prefix = ""
    for line in (DOCS / "api" / "index.md").read_text().splitlines():
        if module := re.match(r"\.\. currentmodule:: numapool(?:\.([\w.]+))?$", line):
            prefix = f"{module[1]}." if module[1] else ""
        elif name := re.fullmatch(r"   (\w+)", line):
            names.append(prefix + name[1])
    assert sorted(names) == sorted(_LISTED)


def test_links_to_files_lead_to_files() -> None:
    for page in pages():
        text = page.read_text()
        targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
        for target in targets + re.findall(r'(?:src|srcset)="([^"]+)"', text):
            assert (page.parent / target).exists(), f"{page}: {target}"


def spelled_out(name: str) -> list[str]:
    """Write each name of ``a_{b,c}.cpp`` in full."""
    before, brace, rest = name.partition("{")
    if not brace:
        return [name]
    inside, _, after = rest.partition("}")
    return [one for part in inside.split(",") for one in spelled_out(before + part + after)]


def test_every_file_that_the_architecture_names_is_there() -> None:
    """Named by its end where the folder is clear: ``cgroup.cpp``, ``linux/memory/memory.cpp``."""
    root = DOCS.parent
    folders = ("csrc", "python", "tests", "benchmarks", "docs", ".ci")
    paths = [path for folder in folders for path in (root / folder).rglob("*")]
    there = [f"/{path.relative_to(root)}{'/' * path.is_dir()}" for path in paths]
    page = (DOCS / "architecture.md").read_text()
    quoted = re.findall(r"`([\w./{},*<>-]+)`", page)
    named = [
        one
        for name in quoted
        for one in spelled_out(name)
        if re.search(r"[^*]\.(cpp|hpp|py|md|txt|cmake)$|^[a-z][^*]*/$", one) and "<" not in one
    ]
    assert len(named) > 100
    assert [name for name in named if not any(path.endswith(f"/{name}") for path in there)] == []


def test_the_readme_is_short_and_tells_every_command() -> None:
    from numapool.cli.app import app

    readme = README.read_text()
    assert readme.count("\n") < 150
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.callback.__name__
        assert re.search(rf"^numapool {name} ", readme, re.MULTILINE)


@pytest.mark.thread_unsafe(reason="starts a program of its own")
def test_the_readme_shows_memory_that_is_used_again() -> None:
    first = blocks_of(README)[0]
    assert child.check(first.code).splitlines()[1] == "99 1 0.99"
    assert "# 99 1 0.99" in first.code


@pytest.mark.thread_unsafe(reason="starts a program of its own")
@pytest.mark.parametrize(
    "page", [page for page in pages() if blocks_of(page)], ids=lambda page: page.stem
)
def test_every_block_of_python_runs_alone(page: Path, tmp_path: Path) -> None:
    """A reader can copy any block, and run it as it stands."""
    for name in ("train.bin", "table.bin"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(8 << 20)
    child.check("\n".join(map(_alone, blocks_of(page))).replace('"/data', f'"{tmp_path}'))


def _alone(block: Block) -> str:
    """Return code that runs a block with nothing defined; without a fixed port, for two at once."""
    code = block.code.replace("start_http_server(9400", "start_http_server(0")
    return f"exec(compile({code!r}, {block.name!r}, 'exec'), {{'__name__': '__main__'}})"


def test_the_chart_of_the_readme_shows_the_figures_of_the_record() -> None:
    light, dark = ((DOCS / "images" / name).read_text() for name in ("reuse.svg", "reuse_dark.svg"))
    colours = re.compile(r"#[0-9a-f]{6}")
    assert colours.sub("", light) == colours.sub("", dark)
    assert light != dark
    widths = [float(width) for width in re.findall(r'width="([\d.]+)" height="26"', light)]
    figures = re.findall(r">([\d.]+ ms)<", light)
    record = (DOCS / "performance.md").read_text()
    for width, figure in zip(widths, figures, strict=True):
        assert re.search(rf"\b{re.escape(figure)}\b", record), figure
        assert width / widths[0] == pytest.approx(float(figure[:-3]) / float(figures[0][:-3]), 0.05)


def test_pictures_say_what_they_show() -> None:
    for page in DOCS.rglob("*.md"):
        for text, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text()):
            assert len(text) > 15, f"{page}: {target}"
            assert (page.parent / target).is_file()

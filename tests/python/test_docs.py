"""The documentation: every public name is in the reference, every page and command can be found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import child

import numapool as nump
from numapool import bench

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
if not DOCS.is_dir():
    pytest.skip("the documentation is not beside the tests", allow_module_level=True)


def test_every_public_name_is_in_the_reference_once() -> None:
    pages = "".join(page.read_text() for page in sorted((DOCS / "api").glob("*.md")))
    listed = re.findall(r"^\.\. auto\w+:: numapool\.([\w.]+)", pages, re.MULTILINE)
    measuring = [f"bench.{name}" for name in bench.__all__ if name != "SECTIONS"]
    assert sorted(listed) == sorted([*(set(nump.__all__) - {"__version__"}), *measuring])


def test_links_to_files_lead_to_files() -> None:
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_readme_is_short_and_tells_every_command() -> None:
    from numapool.cli.app import app

    readme = (ROOT / "README.md").read_text()
    assert readme.count("\n") < 150
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.callback.__name__
        assert re.search(rf"^numapool {name} ", readme, re.MULTILINE)


def test_the_examples_of_the_readme_run_one_after_the_other() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 3
    printed = child.check("\n".join(blocks)).splitlines()
    assert printed[0].startswith("AllocationStep.")
    assert printed[1].startswith("Placement(bytes_by_node={")
    assert printed[2] == "0.0"


def test_pictures_say_what_they_show() -> None:
    for page in DOCS.rglob("*.md"):
        for text, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text()):
            assert len(text) > 15, f"{page}: {target}"
            assert (page.parent / target).is_file()

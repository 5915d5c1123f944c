"""A type checker accepts what a user may write, reports what cannot work, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from support.docs import Block, blocks_of, pages

pytest.importorskip("mypy")

_SAMPLES = sorted((Path(__file__).parent / "typing").glob("*.py"))
_GOOD = [path for path in _SAMPLES if path.stem.startswith("good_")]
_BAD = [path for path in _SAMPLES if path.stem.startswith("bad_")]
_MARK = re.compile(r"# E: ([a-z-]+(?:, [a-z-]+)*)$")

# What readers copy from the documentation, by the name of a file for it.
_BLOCKS: dict[str, Block] = {
    f"docs_{number}.py": block
    for number, block in enumerate(block for page in pages() for block in blocks_of(page))
}

# The oldest Python that numapool runs on, and one with the buffer protocol in its types (PEP 688).
_VERSIONS = ("3.11", "3.13")

# Other libraries' types are not looked at: it takes long, and not all of them have any.
_SETTINGS = """
[mypy]
[mypy-dask.*,distributed.*,joblib.*,torch.*]
follow_imports = skip
ignore_missing_imports = True
"""

# By sample: the codes of the errors on each line.
Reports = dict[str, dict[int, set[str]]]


@pytest.fixture(scope="module", params=_VERSIONS)
def reports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Return what mypy reports of each sample, with the strictness of a careful user."""
    folder = tmp_path_factory.mktemp("elsewhere")  # a user has the package, not its sources
    for name, block in _BLOCKS.items():
        (folder / name).write_text(block.code)
    (folder / "mypy.ini").write_text(_SETTINGS)
    options = ["--strict", "--output=json", "--python-version", request.param]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", *options),
            *("--config-file", "mypy.ini", "--cache-dir", str(folder)),
            *map(str, _SAMPLES),
            *_BLOCKS,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Reports = defaultdict(lambda: defaultdict(set))
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message["severity"] == "error":
            found[Path(message["file"]).name][message["line"]].add(message["code"])
    return found


def _marked(path: Path) -> dict[int, set[str]]:
    lines = path.read_text().splitlines()
    return {
        number: set(mark[1].split(", "))
        for number, line in enumerate(lines, 1)
        if (mark := _MARK.search(line))
    }


def test_there_are_samples_of_both_kinds() -> None:
    assert len(_GOOD) >= 4
    assert len(_BAD) >= 2
    assert sorted(_GOOD + _BAD) == _SAMPLES


@pytest.mark.parametrize("path", _SAMPLES, ids=lambda path: path.stem)
def test_errors_are_those_that_are_marked(reports: Reports, path: Path) -> None:
    assert reports[path.name] == _marked(path)


@pytest.mark.skipif(not _BLOCKS, reason="the documentation is not beside the tests")
def test_blocks_of_the_documentation_have_no_errors(reports: Reports) -> None:
    found = {block.name: dict(reports[name]) for name, block in _BLOCKS.items() if reports[name]}
    assert not found


@pytest.mark.parametrize("path", _BAD, ids=lambda path: path.stem)
def test_bad_samples_mark_errors(path: Path) -> None:
    assert len(_marked(path)) > 10


@pytest.mark.parametrize("path", _GOOD, ids=lambda path: path.stem)
def test_good_samples_run(path: Path) -> None:
    """In a process of its own, which it may bind."""
    assert not _marked(path)
    subprocess.run([sys.executable, str(path)], check=True, timeout=120)

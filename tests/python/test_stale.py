"""Tests never run against a numapool that was built from other sources."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import numapool

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "csrc" / "source_digest.cmake"
if not SCRIPT.exists():
    pytest.skip("the sources are not beside the tests", allow_module_level=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project whose core is none that was built."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "csrc" / "a").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / "test_nothing.py").write_text("def test_nothing(): pass\n")
    (tmp_path / "CMakeLists.txt").write_text("project(x)\n")
    for name in ("a/b.cpp", "B.hpp", "a.cpp", "CMakeLists.txt", "a/x.cmake", "left_out.txt"):
        (tmp_path / "csrc" / name).write_text(f"// {name}\n")
    return tmp_path


def _checker(tree: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("checker", tree / "tests" / "conftest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_these_tests_have_the_core_of_these_sources() -> None:
    assert _checker(ROOT).why_stale() is None


def test_a_stale_core_ends_the_run_with_the_remedy(tree: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "tests"],
        cwd=tree,
        capture_output=True,
        text=True,
    )
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "was built from other sources than csrc/. Run `make dev`" in run.stderr
    assert "passed" not in run.stdout


def test_a_stale_package_is_found(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checker = _checker(tree)
    monkeypatch.setattr(numapool._core, "__source_digest__", checker.source_digest())
    assert checker.why_stale() is None  # only the core is there to be compared
    package = Path(numapool.__file__).parent
    shutil.copytree(package, tree / "python" / "numapool", ignore=shutil.ignore_patterns("*.so"))
    assert checker.why_stale() is None
    (tree / "python" / "numapool" / "new.py").write_text("")
    assert "differs from python/numapool" in checker.why_stale()


def test_builds_and_tests_agree_on_the_digest(tree: Path) -> None:
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    cmake = shutil.which("cmake", path=os.pathsep.join(folders))
    if cmake is None:
        pytest.skip("there is no cmake")
    output = tree / "digest.cpp"
    subprocess.run([cmake, f"-DROOT={tree}", f"-DOUTPUT={output}", "-P", SCRIPT], check=True)
    (found,) = re.findall(r'"([0-9a-f]{64})"', output.read_text())
    before = _checker(tree).source_digest()
    assert found == before
    (tree / "csrc" / "a.cpp").rename(tree / "csrc" / "b.cpp")
    assert _checker(tree).source_digest() != before

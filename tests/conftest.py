"""No test runs against a numapool that was built or installed from other sources than these."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "numapool"


def pytest_configure() -> None:
    # A guest runs what its host has checked.
    if "NUMAPOOL_TEST_GUEST" not in os.environ and (why := why_stale()):
        raise pytest.UsageError(f"{why}. Run `make dev`; `make test` does it by itself.")


def why_stale() -> str | None:
    """Say why the numapool that is imported was not made from this source tree, or None."""
    import numapool
    from numapool import _core

    if (ROOT / "csrc").is_dir() and getattr(_core, "__source_digest__", None) != source_digest():
        return f"the compiled core ({_core.__file__}) was built from other sources than csrc/"
    installed = Path(numapool.__file__).parent.resolve()
    if PACKAGE.is_dir() and installed != PACKAGE and _sources(installed) != _sources(PACKAGE):
        return f"the installed package ({installed}) differs from python/numapool"
    return None


def source_digest() -> str:
    """Return what csrc/source_digest.cmake makes of the sources."""
    files = [
        path
        for path in (ROOT / "csrc").rglob("*")
        if path.suffix in {".cpp", ".hpp", ".cmake"} or path.name == "CMakeLists.txt"
    ]
    named = sorted((path.relative_to(ROOT).as_posix(), path) for path in files)
    named.insert(0, ("CMakeLists.txt", ROOT / "CMakeLists.txt"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n" for name, path in named]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sources(package: Path) -> dict[str, bytes]:
    """Return the package's Python files by their names."""
    return {
        path.relative_to(package).as_posix(): path.read_bytes() for path in package.rglob("*.py")
    }

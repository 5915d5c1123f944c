"""``import numapool`` is light, and gives the names of the API."""

from __future__ import annotations

import subprocess
import sys

import pytest

import numapool as nump


def test_every_public_name_is_there() -> None:
    assert len(nump.__all__) == len(set(nump.__all__))
    for name in nump.__all__:
        assert getattr(nump, name) is not None


@pytest.mark.parametrize("module", ["numpy", "rich", "typer", "asyncio", "pathlib"])
def test_import_loads_nothing_that_is_not_needed(module: str) -> None:
    code = f"import sys, numapool; print({module!r} in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "False"

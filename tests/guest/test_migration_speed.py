"""How fast pages move beside move_pages(2) and migratepages(8): benchmarks/migration.py in a guest.

An emulated machine takes minutes for it, so it runs when it is asked for:
``NUMAPOOL_TEST_SPEED=1 python -m pytest tests/guest/test_migration_speed.py -rP``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .harness.machine import Machine
from .harness.selection import inside

if not inside() and "NUMAPOOL_TEST_SPEED" not in os.environ:
    pytest.skip("takes minutes: set NUMAPOOL_TEST_SPEED to run it", allow_module_level=True)

_ROOT = Path(__file__).resolve().parents[2]


def _measure(mib: int, rounds: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.migration", f"--mib={mib}", f"--rounds={rounds}"],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    print(done.stdout)
    assert json.loads(done.stdout)["mib"] == mib


@pytest.mark.machine("two_large_612")
def test_moves(machine: Machine) -> None:
    """To node 0, which has one CPU, and to node 1, which has two."""
    _measure(1024, 3)


@pytest.mark.machine("two_counted_612")
def test_counted(machine: Machine) -> None:
    """A second is a billion instructions here, of all CPUs together: hardly two runs differ.

    Except in the first round of migratepages, which waits for its file to be read.
    """
    _measure(512, 2)

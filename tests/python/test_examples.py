"""The examples do what they say, under real pressure."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_cache_shrinks_and_recovers() -> None:
    if not Path("/proc/pressure/memory").exists():
        pytest.skip("this kernel tells of no stalls")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "cache_under_pressure.py")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd="/",
    )
    cached = [int(mib) for mib in re.findall(r": (\d+) MiB cached", done.stdout)]
    assert len(cached) == 3
    filled, after, again = cached
    assert filled == again == 256
    assert after < filled, done.stdout
    assert re.search(r"(MODERATE|CRITICAL) +(cgroup-)?psi", done.stdout), done.stdout
    assert done.stderr == ""

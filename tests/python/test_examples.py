"""The examples do what they say, under real pressure."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import numapool as nump

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


def test_the_storage_cache_returns_what_was_written(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "storage_cache.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd="/",
    )
    found = re.search(r"(\d+) hits, (\d+) misses .*, (\d+) wrong", done.stdout)
    assert found is not None, done.stdout
    hits, misses, wrong = map(int, found.groups())
    assert (hits + misses, wrong) == (2000, 0)
    assert hits > misses > 0
    assert "a scan of all of it: right, 0 misses" in done.stdout
    assert "\n0 bytes in use at the end\n" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert done.stderr == ""


def test_the_storage_cache_keeps_what_somebody_holds(tmp_path: Path) -> None:
    cache_of = runpy.run_path(str(EXAMPLES / "storage_cache.py"))["BlockCache"]
    path = tmp_path / "file"
    path.write_bytes(b"".join(bytes([number]) * 4096 for number in range(8)) + b"end")
    with nump.BufferPool() as pool:
        cache = cache_of(path, 4096, 2, pool, timeout_s=0.01)
        held = cache.read(0)
        assert cache.read(8) == b"end"
        with pytest.raises(nump.PoolExhaustedError):
            cache.read(1)
        assert held == bytes(4096)
        held.release()
        assert cache.read(1) == b"\1" * 4096
        cache.write(1, b"new")
        assert cache.read(1) == b"new" + b"\1" * 4093
        assert cache.read(9) == b""
        cache.close()
        assert pool.statistics().total.in_use_bytes == 0

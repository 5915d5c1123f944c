"""A notice of a real cgroup of version 1, where this system has its memory controller."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import child

_HIERARCHY = Path("/sys/fs/cgroup/memory")


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup of 1 GiB."""
    path = _HIERARCHY / f"numapool-test-{os.getpid()}"
    try:
        path.mkdir()
        (path / "memory.limit_in_bytes").write_text(str(1 << 30))
    except OSError as error:
        pytest.skip(f"no memory controller of version 1 to make a cgroup in: {error}")
    yield path
    path.rmdir()


CODE = """
import mmap, os, sys, tempfile, time
import numapool as nump
cgroup = {cgroup!r}
MIB = 1 << 20
with tempfile.TemporaryFile(dir="/var/tmp") as file:
    with open(cgroup + "/cgroup.procs", "w") as procs:
        procs.write(str(os.getpid()))
    file.write(os.urandom(64 * MIB)); file.flush(); os.fsync(file.fileno())  # charged to it
    events = []
    with nump.BufferPool() as pool, nump.PressureMonitor(sources=["cgroup-v1"]) as monitor:
        (source,) = monitor.sources
        assert source.active and source.wakes and source.path == cgroup, source
        pool.reserve(MIB, 8)
        monitor.attach(pool)
        monitor.subscribe(events.append)
        pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        private = mmap.mmap(-1, 56 * MIB)
        private[:] = bytes(56 * MIB)
        end = time.monotonic() + 60
        while not events and time.monotonic() < end:
            sum(pages[at] for at in range(0, len(pages), 4096))  # no room for all of the file
        time.sleep(0.1)
        print(events[0].source, events[0].level.name, pool.statistics().total.retained_bytes)
        monitor.close()
with open({root!r} + "/cgroup.procs", "w") as procs:
    procs.write(str(os.getpid()))
"""


def test_a_notice_trims_the_pool(cgroup: Path) -> None:
    (cgroup / "memory.limit_in_bytes").write_text(str(96 << 20))
    said = child.check(CODE.format(cgroup=str(cgroup), root=str(_HIERARCHY)))
    assert said.split() == ["cgroup-v1", "MODERATE", "0"]


REMOVED = """
import os, time
import numapool as nump
from pathlib import Path
MIB = 1 << 20
def move_to(folder):
    Path(folder, "cgroup.procs").write_text(str(os.getpid()))
move_to({cgroup!r})
events = []
with nump.BufferPool() as pool, nump.PressureMonitor(sources=["cgroup-v1"]) as monitor:
    pool.reserve(MIB, 8)
    monitor.attach(pool)
    monitor.subscribe(events.append)
    (source,) = monitor.sources
    assert source.active, source
    move_to({root!r})
    os.rmdir({cgroup!r})
    end = time.monotonic() + 30
    while monitor.sources[0].path == {cgroup!r} and time.monotonic() < end:
        time.sleep(0.01)
    print(monitor.sources[0].path != {cgroup!r}, events, pool.statistics().total.retained_bytes)
"""


def test_a_cgroup_that_is_removed_is_no_pressure(cgroup: Path) -> None:
    said = child.check(REMOVED.format(cgroup=str(cgroup), root=str(_HIERARCHY)))
    assert said == f"True [] {8 << 20}\n"
    cgroup.mkdir()  # for the fixture

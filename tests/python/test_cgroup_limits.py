"""The limit of a real cgroup is heeded, whatever of /proc and of the mounts a container shows."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import child, confined

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/cgroup").exists(), reason="cgroups are Linux's"
)

_HIERARCHY = Path("/sys/fs/cgroup/memory")
#: Less than what is refused below. A sanitizer's runtime and shadow memory take 185 of it.
_LIMIT_MIB = 300

# More than the limit is refused, and what fits is served.
ALLOCATE = """
import numapool as nump
allocator = nump.NumaAllocator()
try:
    allocator.allocate(400 << 20)
except MemoryError as error:
    print(error)
allocator.allocate(32 << 20).close()
"""


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup of version 1 with a blank in its name, and one in it that has the limit."""
    with contextlib.ExitStack() as stack:
        try:
            outer = Path(tempfile.mkdtemp(prefix="numapool a ", dir=_HIERARCHY))
            stack.callback(outer.rmdir)
            inner = outer / "inner"
            inner.mkdir()
            stack.callback(inner.rmdir)
            (inner / "memory.limit_in_bytes").write_text(str(_LIMIT_MIB << 20))
        except OSError as error:
            pytest.skip(f"no memory controller of version 1 to make a cgroup in: {error}")
        yield inner


@pytest.fixture
def zeroed(tmp_path: Path) -> tuple[str, ...]:
    """Commands that put a /proc/meminfo of zeros in place, as a dead lxcfs does."""
    file = tmp_path / "zeroed"
    return (
        f"sed 's/:  *[0-9]* kB/:       0 kB/' /proc/meminfo > '{file}'",
        f"mount --bind '{file}' /proc/meminfo",
    )


def _join(cgroup: Path) -> str:
    return f"echo $$ > '{cgroup}/cgroup.procs'"


def _refused(cgroup: Path, *mounts: str) -> str:
    return confined.check(ALLOCATE, mounts=(_join(cgroup), *mounts))


def test_more_than_the_limit_is_refused(cgroup: Path) -> None:
    assert f"are available to this process, limited by the cgroup {cgroup}" in _refused(cgroup)


def test_the_limit_counts_without_a_meminfo(cgroup: Path) -> None:
    said = _refused(cgroup, "mount -t proc -o subset=pid proc /proc")
    assert f"limited by the cgroup {cgroup}" in said


def test_the_limit_counts_with_a_meminfo_of_zeros(cgroup: Path, zeroed: tuple[str, ...]) -> None:
    assert f"limited by the cgroup {cgroup}" in _refused(cgroup, *zeroed)


def test_a_mount_point_that_mountinfo_writes_with_escapes(cgroup: Path, tmp_path: Path) -> None:
    """The cgroup is visible at a path with a blank alone."""
    point = tmp_path / "a b"
    point.mkdir()
    said = _refused(
        cgroup, f"mount --bind '{cgroup.parent}' '{point}'", f"umount -l '{_HIERARCHY}'"
    )
    assert f"limited by the cgroup {point}/inner" in said


def test_a_mount_that_covers_the_first(cgroup: Path) -> None:
    said = _refused(cgroup, f"mount --bind '{cgroup.parent}' '{_HIERARCHY}'")
    assert f"limited by the cgroup {_HIERARCHY}/inner" in said


def test_a_limit_that_could_not_be_read_once(cgroup: Path) -> None:
    said = child.check(
        f"""
        import os, resource
        import numapool as nump
        from numapool import _core
        allocator = nump.NumaAllocator()
        with open({str(cgroup / "cgroup.procs")!r}, "w") as procs:
            procs.write(str(os.getpid()))
        most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most[1]))
        allocator.allocate(2 << 20).close()
        unknown = [one.limit for one in _core.memory_bounds() if one.size_bytes is None]
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
        try:
            allocator.allocate(400 << 20)
        except MemoryError:
            print(len(unknown) >= 2, "unknown, then refused")
        print([one.unknown for one in _core.memory_bounds() if one.size_bytes is None])
        """
    )
    assert said.splitlines() == ["True unknown, then refused", "[]"]


def test_a_machine_without_figures_and_without_limits_is_not_refused(
    zeroed: tuple[str, ...],
) -> None:
    code = """
    import numapool as nump
    nump.NumaAllocator().allocate(32 << 20).close()
    print("allocated")
    """
    assert confined.check(code, mounts=zeroed).strip() == "allocated"

"""Refused system calls, by a real seccomp filter: one warning per cause, or an error."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from support import child, files

SETUP = """
import warnings
import numapool as nump
import numpy as np
from support import seccomp
allocator = nump.NumaAllocator()
node = allocator.topology.nodes[0].node_id
single = allocator.topology.node_count == 1
seccomp.refuse({calls!r}, {code})
"""


def after(calls: list[str], code: int, body: str) -> str:
    return child.check(SETUP.format(calls=calls, code=code) + body)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS])
def test_mbind_refused_degrades_with_one_warning(code: int) -> None:
    out = after(
        ["mbind", "set_mempolicy", "move_pages", "migrate_pages"],
        code,
        """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for size in (4096, 4 << 20, 64 << 20):
        with allocator.allocate(size, node) as buffer:
            assert buffer.step is nump.AllocationStep.UNBOUND, buffer
            assert not buffer.bound
            memoryview(buffer)[size - 1] = 1
            seen = buffer.placement()
            assert seen.method == "get_mempolicy", seen
            assert sum(seen.bytes_by_node.values()) == size, seen
            if single:
                assert buffer.node_id == node
    with allocator.allocate_interleaved(4 << 20) as buffer:
        assert buffer.step is nump.AllocationStep.UNBOUND
first = caught[0]
print(len(caught), first.category.__name__, "mbind" in str(first.message), first.filename)
""",
    )
    assert out.split()[:3] == ["1", "PlacementWarning", "True"]
    assert out.split()[3] == "<string>", "the warning points at the caller's line"


def test_a_system_that_calls_every_policy_invalid_degrades_with_a_warning() -> None:
    out = after(
        ["mbind"],
        errno.EINVAL,
        """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for options in ({}, {"populate": False}):
        with allocator.allocate(4 << 20, node, **options) as buffer:
            print(buffer.step.name, buffer.bound)
    with allocator.allocate_interleaved(4 << 20) as buffer:
        print(buffer.step.name, buffer.bound)
    with nump.BufferPool() as pool, pool.acquire(4 << 20, node) as buffer:
        print(buffer.step.name, buffer.bound)
print(len(caught), caught[0].category.__name__, "mbind" in str(caught[0].message))
""",
    )
    assert out.splitlines() == [*["UNBOUND False"] * 4, "1 PlacementWarning True"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS])
def test_mbind_refused_raises_when_strict(code: int) -> None:
    out = after(
        ["mbind"],
        code,
        """
for call in (lambda: allocator.allocate(4096, node, strict=True),
             lambda: allocator.allocate_interleaved(4096, strict=True)):
    try:
        call()
    except nump.UnsupportedError as error:
        print(error.errno, "mbind" in str(error))
""",
    )
    assert out.split() == [str(code), "True"] * 2


def test_with_move_pages_and_get_mempolicy_refused_numa_maps_answers() -> None:
    out = after(
        ["move_pages", "get_mempolicy"],
        errno.EPERM,
        """
with allocator.allocate(8 << 20, node, strict=True) as buffer:
    seen = buffer.placement()
    print(seen.method, seen.bytes_by_node == {node: 8 << 20}, buffer.step.name)
with allocator.allocate(8 << 20, node, populate=False) as buffer:
    print(buffer.placement().not_resident_bytes == 8 << 20)
""",
    )
    assert out.split() == ["numa_maps", "True", "PREFERRED", "True"]


def test_set_mempolicy_refused_raises_on_entry_and_changes_nothing() -> None:
    out = after(
        ["set_mempolicy"],
        errno.EPERM,
        """
try:
    with nump.memory_policy(node):
        print("entered")
except nump.UnsupportedError as error:
    print(error.errno, "set_mempolicy" in str(error))
""",
    )
    assert out.split() == ["1", "True"]


def test_migrate_refused_raises_and_keeps_the_contents() -> None:
    out = after(
        ["mbind", "move_pages"],
        errno.EPERM,
        """
warnings.simplefilter("ignore")
with allocator.allocate(1 << 20, node) as buffer:
    view = np.frombuffer(buffer, np.uint8)
    view[:] = 7
    try:
        buffer.migrate(node)
    except nump.UnsupportedError as error:
        print(error.errno, (view == 7).all())
    del view
""",
    )
    assert out.split() == ["1", "True"]


def test_threads_that_may_not_choose_cpus_still_populate() -> None:
    after(
        ["sched_setaffinity"],
        errno.EPERM,
        """
with allocator.allocate(128 << 20, node, strict=True) as buffer:
    assert buffer.placement().bytes_by_node == {node: 128 << 20}
""",
    )


def test_alignment_without_statx(tmp_path: Path) -> None:
    """Before Linux 6.1, and in old containers, the kernel does not tell what direct I/O wants."""
    if not files.has_direct(tmp_path):
        pytest.skip("no direct I/O here")
    path = tmp_path / "file"
    path.write_bytes(files.contents(50_000))
    out = after(
        ["statx"],
        errno.ENOSYS,
        f"""
held = open({str(path)!r}, "rb").read()
buffer = allocator.allocate(1 << 16)
done = nump.read_into({str(path)!r}, buffer)
assert bytes(memoryview(buffer)[:50_000]) == held
print(done.direct_bytes >= 50_000 // 4096 * 4096, done.reason)
with nump.stream({str(path)!r}, 8192) as stream:
    assert b"".join(bytes(block.buffer) for block in stream) == held
""",
    )
    assert out.split() == ["True", "None"]


@pytest.mark.parametrize("calls", [["mbind", "move_pages"], ["move_pages", "get_mempolicy"]])
def test_calls_that_answer_and_do_nothing_are_not_believed(calls: list[str]) -> None:
    """As sandboxes do: 0 and nothing written is no answer."""
    out = after(
        calls,
        0,
        """
pages = bytearray(65536)
for at in range(0, 65536, 4096):
    pages[at] = 1
seen = nump.placement_of(pages)
print(seen.method, set(seen.bytes_by_node) <= {node} or not single, seen.not_resident_bytes)
report = nump.migrate(pages, node) if single else None
print(report is None or report.complete or report.kept_bytes or report.placement.unknown_bytes > 0)
found = {one.name: one for one in nump.capabilities()}
print("move_pages" in found["verify"].detail.split(" saw ")[0])
""",
    )
    method, right, absent, told, believed = out.split()
    assert method in ("get_mempolicy", "numa_maps", "unknown")
    assert ("get_mempolicy" in calls) == (method != "get_mempolicy")
    assert (right, absent, told, believed) == ("True", "0", "True", "False")


def test_a_thread_policy_that_is_not_told_is_not_replaced() -> None:
    out = after(
        ["get_mempolicy"],
        0,
        """
try:
    with nump.memory_policy(node):
        print("entered")
except nump.UnsupportedError as error:
    print("get_mempolicy" in str(error))
""",
    )
    assert out.split() == ["True"]

"""What containers take away: told once each, explained by ``doctor``, and no crash."""

from __future__ import annotations

import errno
import json

import pytest
from support import child, confined

CALLS = ("mbind", "set_mempolicy", "move_pages", "migrate_pages")

MOUNTS = {
    "as it is": (),
    "read-only sys": (confined.READ_ONLY_SYS,),
    "no sys": (confined.NO_SYS,),
    "no stall files": (confined.NO_STALL_FILES,),
    "neither": (confined.NO_SYS, confined.NO_STALL_FILES),
}

# Everything once. What is refused is an UnsupportedError that names the call, or one warning.
LIFE = """
import warnings
import numapool as nump
import numpy as np

REFUSED = {refused}
CODE = {code}

def refused(call, name):
    try:
        call()
    except nump.UnsupportedError as error:
        assert REFUSED, error
        assert error.errno == CODE and name in str(error), error
    else:
        assert not REFUSED, name

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    allocator = nump.NumaAllocator()
    node = allocator.topology.nearest(allocator.topology.nodes[0].node_id)[0]
    with nump.BufferPool(allocator, zero_on_reuse=True) as pool:
        for size in (5000, 70_000, 5 << 20):
            for make in (lambda: allocator.allocate(size, node), lambda: pool.acquire(size, node),
                         lambda: allocator.allocate_interleaved(size),
                         lambda: allocator.allocate(size, node, populate=False)):
                with make() as buffer:
                    view = np.frombuffer(buffer, np.uint8)
                    assert not view.any()
                    view[:] = 7
                    assert buffer.bound is not REFUSED, buffer
                    seen = buffer.placement()
                    assert seen.not_resident_bytes == 0, seen
                    assert sum(seen.bytes_by_node.values()) >= view.size, seen
                    refused(lambda: buffer.migrate(node), "mbind")
                    assert (view == 7).all()
                    del view
        pool.ring(5000, 3, node).close()
        refused(lambda: allocator.allocate(5000, node, strict=True).close(), "mbind")
        refused(lambda: pool.acquire(9000, node, strict=True).close(), "mbind")
        def policy():
            with nump.memory_policy(node):
                pass
        refused(policy, "set_mempolicy")
        with nump.run_on(node):
            pass
        array = nump.zeros(1000, node=node)
        array[:] = 1
        pool.trim()
        with nump.PressureMonitor() as monitor:
            monitor.attach(pool)
            assert any(source.active for source in monitor.sources), monitor.sources
            for source in monitor.sources:
                assert source.active or source.detail, source
print(len(caught), *(str(one.message) for one in caught), sep="\\n")
"""

DOCTOR = """
import sys
from numapool.cli.command import main
sys.argv = ["numapool", "doctor", "--json"]
try:
    main()
except SystemExit as end:
    assert end.code in (0, 1), end
"""

INERT = """
from support import seccomp
seccomp.refuse(["get_mempolicy"], 0)
import numapool
"""

INFO = """
import sys
from numapool.cli.command import main
sys.argv = ["numapool", "info"]
main()
"""


@pytest.mark.parametrize("unprivileged", [False, True], ids=["root", "nobody"])
@pytest.mark.parametrize("mounts", MOUNTS.values(), ids=MOUNTS.keys())
def test_what_is_refused_is_told_once(mounts: tuple[str, ...], unprivileged: bool) -> None:
    code = errno.ENOSYS if unprivileged else errno.EPERM
    out = confined.check(
        LIFE.format(refused=True, code=code),
        mounts=mounts,
        calls=CALLS,
        errno=code,
        unprivileged=unprivileged,
    )
    count, *words = out.splitlines()
    assert count == "1", out
    assert "mbind" in words[0] and "first touched on the CPUs of that node" in words[0]


@pytest.mark.parametrize("mounts", MOUNTS.values(), ids=MOUNTS.keys())
def test_without_a_filter_nothing_is_told(mounts: tuple[str, ...]) -> None:
    out = confined.check(LIFE.format(refused=False, code=0), mounts=mounts, unprivileged=True)
    assert out.splitlines() == ["0"]


@pytest.mark.parametrize("mounts", MOUNTS.values(), ids=MOUNTS.keys())
@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS])
def test_doctor_explains(mounts: tuple[str, ...], code: int) -> None:
    out = confined.check(DOCTOR, mounts=mounts, calls=CALLS, errno=code)
    report = json.loads(out)
    found = {one["name"]: one for one in report["capabilities"]}
    assert report["missing"] == ["bind"]
    for name, call in (("bind", "mbind"), ("migrate", "mbind"), ("thread memory", "set_mempolicy")):
        assert found[name]["available"] is False
        assert call in found[name]["detail"]
        assert found[name]["remedy"], name
    assert found["verify"]["available"] is True
    assert "move_pages" in found["verify"]["detail"]
    assert "seccomp" in found["system calls"]["detail"]
    assert not any("could not be found out" in one["detail"] for one in found.values())
    if confined.NO_STALL_FILES in mounts and confined.NO_SYS in mounts:  # no cgroup's file either
        assert found["pressure"]["available"] is False
        assert found["pressure"]["remedy"]
    if confined.NO_SYS in mounts:
        for name in ("transparent huge pages", "hugetlb pages"):
            assert "/sys" in found[name]["detail"], found[name]


# Sandboxes and stub kernels say "done" to get_mempolicy(2) and do nothing.
@pytest.mark.parametrize("command", ["pass", INFO], ids=["import", "info"])
def test_a_call_that_does_nothing_is_no_noise(command: str) -> None:
    done = child.run(INERT + command)
    assert (done.returncode, done.stderr) == (0, "")

"""capabilities(): the kernel's real answers, refusals with a remedy, and nothing left changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import child

import numapool as nump
from numapool.probes import capabilities as probes
from numapool.probes.capabilities import PROBES, run_all
from numapool.probes.capability import ESSENTIAL
from numapool.probes.machine import Machine

ALWAYS = [
    *(
        "nodes",
        "node description",
        "bind",
        "verify",
        "migrate",
        "weighted interleave",
        "populate",
        "thread CPUs",
    ),
    *("thread memory", "transparent huge pages", "locked memory", "pressure", "pressure trigger"),
    *(
        "memory limits",
        "cgroup",
        "balloon",
        "free page reporting",
        "device locality",
        "read queue",
        "memory tiers",
    ),
    *("automatic balancing", "whole machine", "system calls"),
]


def by_name(found: tuple[nump.Capability, ...]) -> dict[str, nump.Capability]:
    named = {one.name: one for one in found}
    assert len(named) == len(found), "a name came twice"
    return named


@pytest.fixture(scope="module")
def found() -> dict[str, nump.Capability]:
    return by_name(nump.capabilities())


def test_every_matter_is_answered_with_evidence(found: dict[str, nump.Capability]) -> None:
    huge = [name for name in found if name.startswith("hugetlb pages")]
    assert huge
    assert [name for name in found if name not in huge] == ALWAYS
    for one in found.values():
        assert one.available in (True, False, None)
        assert one.detail
        assert "\n" not in one.detail + one.remedy
        assert not one.detail.startswith("could not be found out"), one
    assert {one.name for one in found.values() if one.essential} == ESSENTIAL
    json.dumps([one.to_dict() for one in found.values()])


def test_answers_agree_with_what_allocations_do(
    found: dict[str, nump.Capability], allocator: nump.NumaAllocator, node: int
) -> None:
    assert found["nodes"].available == allocator.topology.multi_node
    with allocator.allocate(4096, node) as buffer:
        assert found["bind"].available == buffer.bound
        assert found["verify"].available == (buffer.placement().method != "unknown")
        assert buffer.placement().method in found["verify"].detail
    with nump.memory_policy(node):
        assert found["thread memory"].available
    assert found["thread CPUs"].available


def test_nothing_is_changed() -> None:
    # In a process of its own: threads that other tests left behind open files and end.
    code = """
        import resource, threading
        from pathlib import Path
        from support.affinity import cpus_of_threads
        from support.policy import kernel_policy
        import numapool as nump

        def state():
            status = Path("/proc/self/status").read_text().splitlines()
            return (
                cpus_of_threads(),
                kernel_policy(),
                threading.active_count(),
                len(list(Path("/proc/self/fd").iterdir())),
                resource.getrlimit(resource.RLIMIT_MEMLOCK),
                [line for line in status if line.startswith(("VmLck", "Cpus_allowed", "Seccomp"))],
            )

        nump.capabilities()
        before = state()
        nump.capabilities()
        assert state() == before, (state(), before)
        print("fine")
        """
    assert child.check(code) == "fine\n"


def test_a_probe_that_fails_says_so_and_hinders_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(machine: Machine) -> list[nump.Capability]:
        raise LookupError("a file that nobody has seen")

    monkeypatch.setitem(PROBES, "bind", fail)
    found = by_name(nump.capabilities())
    assert found["bind"].available is None
    assert found["bind"].detail == (
        "could not be found out: LookupError: a file that nobody has seen"
    )
    assert found["verify"].available is not None


def test_a_machine_that_cannot_be_read_fails_no_call(tmp_path: Path) -> None:
    (tmp_path / "sys/devices/system/node").mkdir(parents=True)
    (tmp_path / "sys/devices/system/node/online").write_text("none of them\n")
    found = by_name(run_all(Machine(str(tmp_path))))
    assert found["nodes"].available is None
    assert "none of them" in found["nodes"].detail
    assert found["automatic balancing"].available is False


def after(calls: str, errno: int, body: str) -> str:
    return child.check(f"""
import warnings
warnings.simplefilter("error")
import numapool as nump
from support import seccomp
seccomp.refuse({calls!r}.split(), {errno})
found = {{one.name: one for one in nump.capabilities()}}
{body}
""")


@pytest.mark.parametrize(("errno", "words"), [(1, "Operation not permitted"), (38, "not impl")])
def test_refused_calls_are_named_with_a_remedy(errno: int, words: str) -> None:
    after(
        "mbind set_mempolicy move_pages migrate_pages sched_setaffinity mlock mlock2",
        errno,
        f"""
for name, call in [("bind", "mbind"), ("migrate", "mbind"), ("thread memory", "set_mempolicy"),
                   ("thread CPUs", "sched_setaffinity"), ("locked memory", "mlock"),
                   ("weighted interleave", "mbind")]:
    one = found[name]
    assert one.available is False, one
    assert call in one.detail and {words!r} in one.detail, one
assert "seccomp" in found["bind"].remedy and "SYS_NICE" in found["bind"].remedy
assert "seccomp" in found["migrate"].remedy
assert "ulimit" in found["locked memory"].remedy
verify = found["verify"]
assert verify.available and verify.detail.startswith("get_mempolicy and numa_maps saw"), verify
assert "move_pages: " in verify.detail and "faster" in verify.remedy, verify
assert found["system calls"].available is False
""",
    )


def test_one_witness_is_enough_and_none_is_too_few() -> None:
    after(
        "move_pages get_mempolicy",
        1,
        """
assert found["verify"].available, found["verify"]
assert found["verify"].detail.startswith("numa_maps saw a page on node"), found["verify"]
assert found["bind"].available and "saw" not in found["bind"].detail, found["bind"]
""",
    )


def test_probes_run_in_any_order_and_alone() -> None:
    machine = Machine()
    for name, probe in reversed(probes.PROBES.items()):
        alone = run_all(machine, {name: probe})
        assert all(one.name.startswith(name) for one in alone)
        assert all(not one.detail.startswith("could not") for one in alone)

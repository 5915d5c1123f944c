"""The hazard: a strict bind is killed beside free memory; numapool never is."""

from __future__ import annotations

import signal

import pytest

import numapool as nump

from .harness.machine import Machine
from .support import pages, policy
from .support.children import in_child
from .support.kernel_log import KernelLog
from .support.nodes import MIB, drop_caches, free_bytes

pytestmark = pytest.mark.machine("small_beside_big", "small_beside_big_612")

_SMALL = 1
_REQUEST = 400 * MIB
_MADV_POPULATE_WRITE = 23


@pytest.fixture(autouse=True)
def fresh_memory() -> None:
    drop_caches()


def _bind_and_touch() -> str:
    memory = policy.Memory(_REQUEST)
    memory.bind(_SMALL)
    memory.touch()
    return "survived"


def _bind_and_populate() -> str:
    memory = policy.Memory(_REQUEST)
    memory.bind(_SMALL)
    memory.advise(_MADV_POPULATE_WRITE)
    return "survived"


@pytest.mark.parametrize("way", [_bind_and_touch, _bind_and_populate])
def test_strict_bind_is_killed_beside_free_memory(machine: Machine, way: object) -> None:
    assert free_bytes(0) > 2 * _REQUEST
    log = KernelLog()
    outcome = in_child(way, victim=True)  # type: ignore[arg-type]
    assert outcome.signal is signal.SIGKILL
    kills = log.oom_kills()
    log.close()
    assert any("CONSTRAINT_MEMORY_POLICY" in line for line in kills)
    assert sum("Killed process" in line for line in kills) == 1


def _strict() -> str:
    try:
        nump.NumaAllocator().allocate(_REQUEST, _SMALL, strict=True)
    except nump.PlacementError as error:
        return f"PlacementError: {error}"
    return "no error"


def _default() -> dict[str, object]:
    with nump.NumaAllocator().allocate(_REQUEST, _SMALL) as buffer:
        return {"step": buffer.step.value, "bytes_by_node": pages.bytes_by_node(buffer)}


def test_strict_raises_instead(machine: Machine) -> None:
    log = KernelLog()
    outcome = in_child(_strict, victim=True)
    assert outcome.signal is None and outcome.error is None
    assert outcome.result.startswith("PlacementError") and "node 1" in outcome.result
    assert log.oom_kills() == []
    log.close()


def test_default_spills_to_the_nearest_node(machine: Machine) -> None:
    log = KernelLog()
    outcome = in_child(_default, victim=True)
    assert outcome.signal is None and outcome.error is None
    assert outcome.result == {"step": "nearest", "bytes_by_node": {"0": _REQUEST}}
    assert log.oom_kills() == []
    log.close()


def test_strict_raises_where_part_of_it_lands(machine: Machine) -> None:
    """The last request is tried, falls short by the kernel's reserve, and is given back."""

    def fill_to_the_brim() -> list[int]:
        allocator = nump.NumaAllocator()
        kept: list[nump.NodeBuffer] = []
        sizes: list[int] = []
        while free_bytes(_SMALL) > MIB and len(kept) < 64:
            size = max(MIB, free_bytes(_SMALL) // 2)
            try:
                kept.append(allocator.allocate(size, _SMALL, strict=True))
            except nump.PlacementError:
                break
            sizes.append(size)
            assert pages.bytes_by_node(kept[-1]) == {_SMALL: pages.rounded_up(size)}
        return sizes

    log = KernelLog()
    before = free_bytes(_SMALL)
    outcome = in_child(fill_to_the_brim, victim=True)
    assert outcome.signal is None and outcome.error is None
    assert sum(outcome.result) > before // 2
    assert log.oom_kills() == []
    log.close()

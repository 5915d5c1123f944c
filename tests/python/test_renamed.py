"""Old names work for one release more, and each says what the new one is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numapool as nump
from numapool.base import renamed

old: Any = nump  # type checkers know the new names alone

MIB = 1 << 20
TOPOLOGY: Any = nump.current_topology()
FIRST = TOPOLOGY.nodes[0].node_id
ALLOCATOR: Any = nump.NumaAllocator()


def file_of(folder: Path) -> Path:
    path = folder / "table"
    path.write_bytes(bytes(4096))
    return path


def trim_by_old_name(_: Path) -> int:
    with nump.BufferPool() as pool:
        pool.acquire(MIB).close()
        return pool.trim(max_bytes=1)  # type: ignore[call-arg]


def pool_by_position(_: Path) -> int | None:
    with old.BufferPool(None, MIB) as pool:
        size: int | None = pool.max_bytes
        return size


def pin_by_old_name(_: Path) -> bool:
    with ALLOCATOR.allocate(4096) as buffer, buffer.hold() as held:
        return isinstance(held, nump.PinnedRange)


def placement_of_migration(_: Path) -> int:
    with ALLOCATOR.allocate(4096, FIRST) as buffer:
        return sum(buffer.migrate(FIRST).bytes_by_node.values())


def workers_by_old_name(_: Path) -> int:
    with old.NodeExecutor(FIRST, workers=2) as executor:
        return int(executor.max_workers)


def workers_told_by_old_name(_: Path) -> int:
    with old.NodeExecutor(FIRST, 3) as executor:
        return int(executor.workers)


#: By what the warning says: a call by the old name, and what it returns.
OLD: dict[str, tuple[Callable[[Path], object], object]] = {
    "preferred_node of NumaAllocator.allocate(): node": (
        lambda _: ALLOCATOR.allocate(4096, preferred_node=FIRST).requested_node,
        FIRST,
    ),
    "dump of NumaAllocator.allocate(): core_dump": (
        lambda _: ALLOCATOR.allocate(4096, dump=True).nbytes,
        4096,
    ),
    "lock of NumaAllocator.allocate(): mlock": (
        lambda _: ALLOCATOR.allocate(4096, lock=False).locked,
        False,
    ),
    "lock of NumaAllocator.allocate_interleaved(): mlock": (
        lambda _: ALLOCATOR.allocate_interleaved(4096, lock=False).locked,
        False,
    ),
    "dump of NumaAllocator.allocate_near(): core_dump": (
        lambda folder: ALLOCATOR.allocate_near(folder, 4096, dump=True).nbytes,
        4096,
    ),
    "NumaAllocator.is_numa_aware: numa_aware": (
        lambda _: ALLOCATOR.is_numa_aware,
        ALLOCATOR.numa_aware,
    ),
    "NumaTopology.is_numa: multi_node": (lambda _: TOPOLOGY.is_numa, TOPOLOGY.multi_node),
    "node_id of NumaTopology.node(): node": (
        lambda _: TOPOLOGY.node(node_id=FIRST),
        TOPOLOGY.node(FIRST),
    ),
    "node_id of NumaTopology.nearest(): node": (
        lambda _: TOPOLOGY.nearest(node_id=FIRST),
        TOPOLOGY.nearest(FIRST),
    ),
    "max_bytes of BufferPool.trim(): at_least_bytes": (trim_by_old_name, MIB),
    "BufferPool() with max_bytes by position: max_bytes=": (pool_by_position, MIB),
    "dump of BufferPool(): core_dump": (lambda _: old.BufferPool(dump=False).core_dump, False),
    "BufferPool.dump: core_dump": (lambda _: old.BufferPool(core_dump=False).dump, False),
    "NodeBuffer.hold: pin": (pin_by_old_name, True),
    "bytes_by_node of what migrate() returns: placement.bytes_by_node": (
        placement_of_migration,
        4096,
    ),
    "NodeExecutor.workers: max_workers": (workers_told_by_old_name, 3),
    "workers of NodeExecutor(): max_workers": (workers_by_old_name, 2),
    "size of read_into(): size_bytes": (
        lambda folder: old.read_into(file_of(folder), bytearray(512), size=100).nbytes,
        100,
    ),
    "size of write_from(): size_bytes": (
        lambda folder: old.write_from(file_of(folder), bytes(512), size=100).nbytes,
        100,
    ),
    "size of stream(): size_bytes": (
        lambda folder: sum(len(one.buffer) for one in old.stream(file_of(folder), size=512)),
        512,
    ),
    "DeviceLocality.nodes: node_ids": (
        lambda folder: old.device_locality(folder).nodes,
        nump.device_locality(Path(__file__)).node_ids,
    ),
    "BalloonDriver.is_available: available": (
        lambda _: old.BalloonDriver().is_available,
        nump.BalloonDriver().available,
    ),
    "BalloonDriver.register_pressure_handler: subscribe": (
        lambda _: callable(old.BalloonDriver().register_pressure_handler),
        True,
    ),
    "nbytes of BalloonDriver.report_memory_released(): size_bytes": (
        lambda _: old.BalloonDriver().report_memory_released(nbytes=7).released_bytes,
        7,
    ),
    "numapool.move: numapool.migrate": (lambda _: old.move, nump.migrate),
    "numapool.MoveReport: numapool.MigrationReport": (
        lambda _: old.MoveReport,
        nump.MigrationReport,
    ),
    "numapool.Transferred: numapool.TransferResult": (
        lambda _: old.Transferred,
        nump.TransferResult,
    ),
    "numapool.BufferHold: numapool.PinnedRange": (lambda _: old.BufferHold, nump.PinnedRange),
}


@pytest.mark.filterwarnings("ignore::numapool.PlacementWarning")  # Windows interleaves nothing
@pytest.mark.parametrize("warning", OLD, ids=lambda text: text.partition(":")[0])
def test_old_names_work_and_say_the_new_one(warning: str, tmp_path: Path) -> None:
    use, result = OLD[warning]
    name, _, new = warning.partition(": ")
    with pytest.warns(DeprecationWarning) as told:
        assert use(tmp_path) == result
    words = str(told[0].message)
    assert name in words
    assert words.endswith(f"use {new}")
    assert told[0].filename == __file__, "the warning is about the caller's line"


def test_every_old_name_is_tried() -> None:
    from numapool import _RENAMED

    package = Path(nump.__file__).parent
    used = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    tried = {warning.partition(": ")[0] for warning in OLD}
    functions = {one.partition(" of ")[2] for one in tried if one.endswith("()")}
    assert len(functions) == used.count("@renamed.parameters(")
    # The core's own, what a report of a migration forwards, and a second way of the same function.
    others = {one for one in tried if not one.endswith("()")} - {
        "NodeBuffer.hold",
        "bytes_by_node of what migrate() returns",
        "BufferPool() with max_bytes by position",
    }
    assert len(others) == used.count("= renamed.attribute(") + len(_RENAMED)


def test_both_names_at_once_are_an_error() -> None:
    with pytest.raises(TypeError, match="node by two names, preferred_node and node"):
        ALLOCATOR.allocate(4096, node=FIRST, preferred_node=FIRST)
    with pytest.raises(TypeError, match="max_bytes twice"):
        old.BufferPool(None, MIB, max_bytes=MIB)
    with pytest.raises(TypeError):
        old.BufferPool(None, *[None] * 8)


def test_old_names_are_not_offered() -> None:
    assert not {"move", "BufferHold", "MoveReport", "Transferred"} & {*dir(nump), *nump.__all__}
    assert list(inspect.signature(nump.NumaAllocator.allocate).parameters)[:3] == [
        "self",
        "size_bytes",
        "node",
    ]


def test_what_has_no_old_name_is_no_attribute() -> None:
    report: Any = nump.migrate(np.zeros(4096, np.uint8), FIRST)
    with pytest.raises(AttributeError, match="MigrationReport has no attribute 'nonsense'"):
        _ = report.nonsense
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = old.nonsense


def test_a_function_may_have_two_old_names() -> None:
    @renamed.parameters(a="b", c="d")
    def take(b: int, d: int) -> tuple[int, int]:
        return b, d

    call: Any = take
    with pytest.warns(DeprecationWarning) as told:
        assert call(a=1, c=2) == (1, 2)
    assert len(told) == 2

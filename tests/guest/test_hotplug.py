"""A node that appears with a DIMM plugged in at run time, and goes when it is pulled out again."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import numapool as nump
from numapool.memory.movable_only import movable_only_nodes
from numapool.picture.page import compose

from . import machines
from .harness.guest import Guest
from .harness.machine import Machine
from .harness.process import Worker
from .support import io_uring, pages
from .support.nodes import MIB

_NODE = 3
_DIMM_BYTES = 512 * MIB
_PATTERN = bytes(range(256)) * 4096
_WAIT_S = 120.0

# What follows is called inside the guest, in one process that lives as long as the module's tests.
_kept: dict[str, Any] = {}


def inside_look() -> dict[str, Any]:
    """The topology as a fresh look tells it."""
    topology = nump.NumaTopology.detect()
    return {
        "nodes": [node.node_id for node in topology.nodes],
        "memory": {node.node_id: node.total_memory_bytes for node in topology.nodes},
        "nearest": list(topology.nearest(0)),
    }


def inside_make_allocator() -> list[str]:
    """Make an allocator and a pool before the plug; what they say of the node that will come."""
    _kept["allocator"] = nump.NumaAllocator()
    _kept["pool"] = nump.BufferPool(_kept["allocator"])
    return inside_try_node()


def inside_try_node() -> list[str]:
    """Take a little on the node, by allocator and pool: where it is, or the name of the error."""
    allocate, acquire = _kept["allocator"].allocate, _kept["pool"].acquire
    answers = []
    for take in (allocate, acquire):
        for strict in (True, False):
            try:
                with take(8 * MIB, _NODE, strict=strict) as buffer:
                    answers.append(str(pages.bytes_by_node(buffer)))
            except nump.NumapoolError as error:
                answers.append(f"{type(error).__name__}: {error}")
    return answers


def inside_pool_nodes() -> list[int]:
    """The nodes that the pool's statistics show."""
    return list(_kept["pool"].statistics().by_node)


def inside_hold() -> dict[str, Any]:
    """Keep a buffer with a pattern on the new node."""
    buffer = _kept["allocator"].allocate(64 * MIB, _NODE, strict=True)
    with memoryview(buffer) as view:
        for at in range(0, len(view), len(_PATTERN)):
            view[at : at + len(_PATTERN)] = _PATTERN
    _kept["buffer"] = buffer
    return inside_held()


def inside_held() -> dict[str, Any]:
    """Where the held buffer is, by its own word and by ours, and whether its bytes are intact."""
    buffer = _kept["buffer"]
    with memoryview(buffer) as view:
        intact = all(
            view[at : at + len(_PATTERN)] == _PATTERN for at in range(0, len(view), len(_PATTERN))
        )
    return {
        "told": buffer.placement().bytes_by_node,
        "found": pages.bytes_by_node(buffer),
        "intact": intact,
    }


def inside_pin() -> dict[str, Any]:
    """Hold a buffer on the new node, have the kernel pin its pages as a device does, and look."""
    with _kept["allocator"].allocate(8 * MIB, _NODE, strict=True) as buffer:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            held = buffer.pin()
        before = held.placement().bytes_by_node
        ring = io_uring.pin(held.address, held.nbytes)
        after, found = held.placement().bytes_by_node, pages.bytes_by_node(buffer)
        os.close(ring)
        held.release()
    return {
        "movable": sorted(movable_only_nodes()),
        "warned": [str(one.message) for one in caught],
        "nodes": [one.detail for one in nump.capabilities() if one.name == "nodes"],
        "before": before,
        "after": after,
        "found": found,
    }


def inside_work_near() -> dict[str, Any]:
    """Run near the new node, which has no CPUs, ask it for more than it has, and draw it."""
    allocator = _kept["allocator"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with nump.run_on(_NODE) as near:
            cpus = sorted(os.sched_getaffinity(0))
        with nump.NodeExecutor(_NODE, 1) as executor:
            there = executor.submit(os.sched_getaffinity, 0).result()
    with allocator.allocate(_DIMM_BYTES + 16 * MIB, _NODE) as large:
        as_asked = large.step is nump.AllocationStep.PREFERRED
        found = pages.bytes_by_node(large)
    texts = [one.text for one in compose(nump.NumaTopology.detect(), _measure).labels]
    return {
        "run_on": [near.node_id, cpus],
        "executor": [executor.node_id, executor.memory_node, sorted(there)],
        "warned": len(caught),
        "as asked": as_asked,
        "bytes": sum(found.values()),
        "drawn": [one for one in texts if one.startswith("node ")],
    }


def _measure(text: str, size_pt: float, bold: bool) -> float:
    return len(text) * size_pt * 0.65 / 72


def inside_online_nodes() -> str:
    return Path("/sys/devices/system/node/online").read_text().strip()


# The tests themselves drive the machine from the host.


@pytest.fixture(scope="module")
def guest(boot: Callable[[Machine], Guest]) -> Guest:
    guest = boot(machines.SPARSE)
    policy = "/sys/devices/system/memory/auto_online_blocks"
    guest.run(["sh", "-c", f"echo online_movable > {policy}"])
    return guest


@pytest.fixture(scope="module")
def worker(guest: Guest) -> Worker:
    return guest.worker()


def _wait_online(worker: Worker, expected: str) -> None:
    end = time.monotonic() + _WAIT_S
    while (online := worker.call(inside_online_nodes)) != expected and time.monotonic() < end:
        time.sleep(0.2)
    assert online == expected


def test_node_comes_serves_and_goes(guest: Guest, worker: Worker) -> None:
    missing = ["NodeNotFoundError: there is no node 3; this machine has: 0, 2"] * 4
    assert worker.call(inside_make_allocator) == missing
    assert worker.call(inside_pool_nodes) == [0, 2]
    assert worker.call(inside_look)["nodes"] == [0, 2]

    guest.qmp("object-add", **{"qom-type": "memory-backend-ram", "id": "plug", "size": _DIMM_BYTES})
    guest.qmp("device_add", driver="pc-dimm", id="dimm", memdev="plug", node=_NODE)
    _wait_online(worker, "0,2-3")
    seen = worker.call(inside_look)
    assert seen["nodes"] == [0, 2, 3]
    assert seen["memory"]["3"] == _DIMM_BYTES
    assert seen["nearest"] == [0, 2, 3]
    assert worker.call(inside_try_node) == [f"{{{_NODE}: {8 * MIB}}}"] * 4
    assert worker.call(inside_pool_nodes) == [0, 2, 3]

    assert worker.call(inside_work_near) == {
        "run_on": [0, [0, 1]],
        "executor": [0, _NODE, [0, 1]],
        "warned": 1,
        "as asked": False,
        "bytes": _DIMM_BYTES + 16 * MIB,
        "drawn": ["node 0", "node 2", "node 3"],
    }

    pinned = worker.call(inside_pin)
    assert pinned["movable"] == [_NODE]
    (warned,) = pinned["warned"]
    assert f"all memory of node {_NODE} is movable" in warned
    (told,) = pinned["nodes"]
    assert f"all memory of node {_NODE} is movable" in told
    assert pinned["before"] == {"3": 8 * MIB}
    # The warning's reason: a long-term pin moves the pages off such a node.
    assert pinned["after"] == pinned["found"]
    assert sum(pinned["found"].values()) == 8 * MIB and "3" not in pinned["found"]

    held = worker.call(inside_hold)
    assert held == {
        "told": {"3": 64 * MIB},
        "found": {"3": 64 * MIB},
        "intact": True,
    }

    pulled = time.monotonic()
    guest.qmp("device_del", id="dimm")
    guest.monitor.wait_event("DEVICE_DELETED", _WAIT_S, since=pulled)
    _wait_online(worker, "0,2")
    moved = worker.call(inside_held)
    assert moved["intact"]
    assert moved["told"] == moved["found"]
    assert sum(moved["found"].values()) == 64 * MIB and "3" not in moved["found"]
    assert worker.call(inside_look)["nodes"] == [0, 2]
    worker.call(inside_pool_nodes)  # notices that what it retains was moved
    assert worker.call(inside_try_node) == missing

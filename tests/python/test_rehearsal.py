"""``numapool.testing``: rehearsed pressure reaches pools and handlers, and machines are made up."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import child
from support.waiting import within_seconds

import numapool as nump
from numapool.testing import fake_topology, pressure
from numapool.testing.fixtures import fake_numa  # noqa: F401 - a fixture

MIB = 1 << 20
#: Nothing of the machine reaches these monitors: no memory is short for them.
QUIET = nump.PressurePolicy(margin_bytes=0)


def test_pools_are_trimmed_and_handlers_told(node: int) -> None:
    events: list[nump.PressureEvent] = []
    with (
        nump.BufferPool() as pool,
        nump.PressureMonitor(QUIET, sources=["meminfo"]) as monitor,
        monitor.subscribe(events.append),
    ):
        pool.reserve(MIB, 16, node)
        live = pool.acquire(MIB, node)
        monitor.attach(pool, floor_bytes=4 * MIB)
        with pressure(node=node, demand_bytes="8MiB", monitors=[monitor]) as rehearsal:
            assert rehearsal.trimmed_bytes == pool.statistics().total.trimmed_bytes == 8 * MIB
            assert monitor.level.name == "MODERATE"
        assert monitor.level.name == "NONE"
        assert within_seconds(lambda: len(events) == 2)
        assert monitor.statistics().events_by_source == {"rehearsal": 2}
        assert not live.closed
        live.close()
    began, ended = events
    assert rehearsal.events == events
    assert began.rehearsed and ended.rehearsed
    assert (began.level, ended.level) == (nump.PressureLevel.MODERATE, nump.PressureLevel.NONE)
    assert (began.node_id, began.demand_bytes, began.trimmed_bytes) == (node, 8 * MIB, 8 * MIB)
    assert (ended.demand_bytes, ended.bytes_to_release) == (0, 0)
    assert json.loads(json.dumps(began.to_dict()))["rehearsed"] is True


def test_what_pools_cannot_give_is_asked_of_handlers(node: int) -> None:
    asked: list[int] = []
    done = threading.Event()

    def release(event: nump.PressureEvent) -> None:
        asked.append(event.bytes_to_release)
        done.set()

    critical = nump.PressureLevel.CRITICAL
    with (
        nump.PressureMonitor(QUIET, sources=["meminfo"]) as monitor,
        monitor.subscribe(release),
        pressure(demand_bytes=MIB, level=critical, monitors=[monitor]),
    ):
        assert monitor.level is critical
        assert done.wait(30)
        assert asked == [MIB]


def test_the_end_is_told_where_the_block_fails() -> None:
    with nump.PressureMonitor(QUIET, sources=["meminfo"]) as monitor:
        with pytest.raises(KeyError), pressure(monitors=[monitor]):
            raise KeyError
        assert monitor.level is nump.PressureLevel.NONE
        with pressure(monitors=[monitor]) as rehearsal:
            monitor.stop()  # nobody is left to tell of the end
        assert len(rehearsal.events) == 1


def test_by_default_every_monitor_of_the_process_is_told() -> None:
    code = """
        import numapool as nump
        from numapool.testing import pressure
        try:
            with pressure():
                pass
        except ValueError as error:
            print(error)
        stopped = nump.PressureMonitor()
        quiet = nump.PressurePolicy(margin_bytes=0)
        with nump.PressureMonitor(quiet, ["meminfo"]), nump.PressureMonitor(quiet, ["meminfo"]):
            with pressure() as rehearsal:
                print([event.demand_bytes for event in rehearsal.events])
        print(len(rehearsal.events))
    """
    first, *rest = child.check(code).splitlines()
    assert "no pressure monitor runs" in first
    assert rest == [f"[{64 * MIB}, {64 * MIB}]", "4"]


def test_wrong_arguments() -> None:
    with nump.PressureMonitor(QUIET, sources=["meminfo"]) as monitor:
        wrong: tuple[tuple[dict[str, Any], str], ...] = (
            ({"node": -1}, "node must be"),
            ({"demand_bytes": "x"}, "demand_bytes must be"),
            ({"level": nump.PressureLevel.NONE}, "level must be MODERATE or CRITICAL"),
            ({"level": 2}, "level must be"),
            ({"monitors": 5}, "monitors must be"),
            ({"monitors": [5]}, "each of monitors must be"),
        )
        for more, words in wrong:
            options = {"monitors": [monitor], **more}
            with pytest.raises((TypeError, ValueError), match=words), pressure(**options):
                pass
    with pytest.raises(ValueError, match="each of sources must be"):
        nump.PressureMonitor(sources=["rehearsal"])


def test_a_fake_topology_is_a_machine() -> None:
    topology = fake_topology(4, cpus_per_node=3, memory_bytes="1GiB", distance=21, memory_only=[3])
    assert [node.cpu_cores for node in topology.nodes] == [(0, 1, 2), (3, 4, 5), (6, 7, 8), ()]
    assert topology.multi_node
    assert topology.notes == ()
    assert topology.nearest(2) == (2, 0, 1, 3)
    assert topology.distance(0, 3) == 21
    assert topology.node_of_cpu(5) == 1
    assert topology.node(3).total_memory_bytes == 1 << 30
    assert topology.node(3).free_memory_bytes() == 1 << 29
    assert topology.devices == ()
    json.dumps(topology.to_dict())
    assert not fake_topology(1).multi_node
    assert len(fake_topology(300, cpus_per_node=1).nodes) == 300


def test_a_fake_topology_leaves_no_files() -> None:
    topology = fake_topology()
    root = Path(topology._root)
    assert root.is_dir()
    del topology
    gc.collect()
    assert not root.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nodes": 0}, "nodes must be at least 1"),
        ({"nodes": 1025}, "nodes must be at most 1024"),
        ({"cpus_per_node": -1}, "cpus_per_node must be at least 0"),
        ({"memory_bytes": "much"}, "memory_bytes must be"),
        ({"distance": 10}, "distance must be from 11 to 254"),
        ({"memory_only": [2]}, "memory_only must be nodes below 2"),
    ],
)
def test_machines_that_cannot_be(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fake_topology(**options)  # type: ignore[arg-type]


@pytest.mark.thread_unsafe(reason="changes what the package returns")
def test_the_fixture_makes_code_see_another_machine(
    fake_numa: Callable[..., nump.NumaTopology],  # noqa: F811
) -> None:
    def workers() -> int:
        return sum(1 for node in nump.current_topology().nodes if node.cpu_cores)

    fake_numa(8, memory_only=[6, 7])
    assert workers() == 6
    assert nump.NumaTopology.detect().node_count == 8
    fake_numa()
    assert workers() == 2

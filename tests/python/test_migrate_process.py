"""migrate_process on one node: arguments, room, refusals; moving is proved in guests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from support import child

import numapool as nump
from numapool.processes import migrate

MODULE = [sys.executable, "-m", "numapool"]


def test_nothing_to_leave_is_nothing_to_do(node: int) -> None:
    done = nump.migrate_process(os.getpid(), None, [node])
    assert (done.moved_bytes, done.kept_bytes, done.complete) == (0, {}, True)
    assert done.from_nodes == () and done.to_nodes == (node,)
    json.dumps(done.to_dict())


def test_wrong_arguments(node: int) -> None:
    with child.running(["true"]) as process:
        process.wait(timeout=120)
    with pytest.raises(ProcessLookupError, match=f"no process {process.pid}"):
        nump.migrate_process(process.pid, None, [node])
    with pytest.raises(nump.NodeNotFoundError, match="no node 1023"):
        nump.migrate_process(os.getpid(), None, [1023])
    with pytest.raises(nump.NodeNotFoundError, match="no node 1023"):
        nump.migrate_process(os.getpid(), [1023], [node])
    with pytest.raises(ValueError, match="to_nodes must be at least one node"):
        nump.migrate_process(os.getpid(), None, [])
    with pytest.raises(ValueError, match="pid must be at least 1"):
        nump.migrate_process(-1, None, [node])


class Machine:
    """Stands in for the core: two nodes, a process with pages on node 0, and little else."""

    def __init__(self, pages: dict[str, dict[int, int]], room: dict[int, int]) -> None:
        self.pages = pages
        self.room = room
        self.shared: dict[int, int] = {}
        self.calls: list[tuple[list[int], list[int]]] = []
        self.areas: list[tuple[int, int]] = []
        self.parts: list[tuple[int, int]] = []
        self.cpus: dict[int, tuple[int, ...]] = {0: (0, 1), 1: (2,), 2: ()}
        self.refuses_parts = False
        self.failure: OSError | None = None

    def process_memory(self, folder: str) -> SimpleNamespace:
        return SimpleNamespace(bytes_by_use=self.pages, shared_bytes_by_node=self.shared)

    def room_for_pages(self, node: int) -> int:
        return self.room[node]

    def migrate_process(self, pid: int, from_nodes: list[int], to_nodes: list[int]) -> int:
        self.calls.append((from_nodes, to_nodes))
        if self.failure:
            raise self.failure
        (source,), (target,) = from_nodes, to_nodes
        for use, nodes in self.pages.items():
            moved = 0 if use == "huge" else min(nodes.get(source, 0), self.room[target])
            self.room[target] -= moved
            nodes[source] = nodes.get(source, 0) - moved
            nodes[target] = nodes.get(target, 0) + moved
        return 0

    def private_areas(self, folder: str, from_node: int, to_node: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(begin=begin, end=end) for begin, end in self.areas]

    def move_process_pages(self, pid: int, begin: int, end: int, node: int) -> int:
        if self.refuses_parts:
            raise PermissionError(1, "move_pages")
        self.parts.append((begin, end))
        return end - begin

    def current_topology(self) -> SimpleNamespace:
        nodes = [SimpleNamespace(node_id=node, cpus=cpus) for node, cpus in self.cpus.items()]
        return SimpleNamespace(
            nearest=lambda node: tuple(sorted(self.room)), nodes=lambda: tuple(nodes)
        )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine({"heap": {0: 100}, "private": {0: 50, 1: 5}}, {1: 200, 2: 1000})
    own = nump.process_placement()

    def placement(pid: int) -> nump.ProcessPlacement:
        uses = {use: {k: v for k, v in nodes.items() if v} for use, nodes in made.pages.items()}
        values = {name: getattr(own, name) for name in own.__slots__}
        return nump.ProcessPlacement(**{**values, "bytes_by_use": uses})

    monkeypatch.setattr(migrate, "_core", made)
    monkeypatch.setattr(migrate, "process_placement", placement)
    monkeypatch.setattr(migrate, "placement_in", lambda folder, pid, memory: placement(pid))
    monkeypatch.setattr(migrate, "existing", sorted)
    monkeypatch.setattr(migrate, "usable_cpus", lambda: frozenset(range(8)))
    for reads in ("nodes_of", "named_of"):
        monkeypatch.setattr(migrate, reads, lambda _, ids: ids)
    return made


def test_pages_go_to_the_nearest_node_with_room_for_all(machine: Machine) -> None:
    told: list[tuple[int, int]] = []
    done = nump.migrate_process(7, [0], [1, 2], progress=lambda *moved: told.append(moved))
    assert machine.calls == [([0], [1])]
    assert done.moved_bytes == 150 and done.complete
    assert told[-1] == (150, 150)
    machine.room[1] = 10
    machine.pages["heap"] = {0: 300}
    done = nump.migrate_process(7, None, [2, 1])
    assert machine.calls[1:2] == [([0], [2])]


def test_several_nodes_take_what_one_cannot(machine: Machine) -> None:
    machine.room = {1: 120, 2: 100}
    done = nump.migrate_process(7, [0], [1, 2])
    assert machine.calls == [([0], [1]), ([0], [2])]
    assert done.complete


def test_areas_are_cut_into_parts_at_their_multiples() -> None:
    part = migrate._PART_BYTES
    assert list(migrate.parts_of([(4096, part), (part - 4096, 2 * part + 4096)], 4)) == [
        (part - 4096, part),
        (part, 2 * part),
        (2 * part, 2 * part + 4096),
    ]
    assert list(migrate.parts_of([(0, 8 * part)], 2)) == [
        (at * part, (at + 2) * part) for at in (0, 2, 4, 6)
    ]
    assert len(migrate.parts_of([(0, 64 * part)], 2)) == 16
    assert not migrate.parts_of([], 2)


def test_large_areas_move_in_parts_and_the_rest_at_once(machine: Machine) -> None:
    part = migrate._PART_BYTES
    machine.areas = [(0, 3 * part), (4 * part, 4 * part + 4096)]
    machine.room = {1: part}
    done = nump.migrate_process(7, [0], [1], progress=lambda *_: None)
    assert sorted(machine.parts) == [(0, part), (part, 2 * part), (2 * part, 3 * part)]
    assert machine.calls == [([0], [1])] and done.complete


def test_parts_wait_for_room(machine: Machine) -> None:
    """The kernel logs each page that finds none."""
    machine.areas = [(0, 3 * migrate._PART_BYTES)]
    nump.migrate_process(7, [0], [1])
    assert machine.parts == [] and machine.calls == [([0], [1])]


def test_where_parts_are_refused_the_one_call_is_made(machine: Machine) -> None:
    machine.areas = [(0, 3 * migrate._PART_BYTES)]
    machine.room = {1: migrate._PART_BYTES}
    machine.refuses_parts = True
    assert nump.migrate_process(7, [0], [1]).complete
    assert machine.calls == [([0], [1])]


def test_few_cpus_are_left_to_the_process(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "usable_cpus", lambda: frozenset(range(3)))
    machine.areas = [(0, 3 * migrate._PART_BYTES)]
    machine.room = {1: migrate._PART_BYTES}
    assert nump.migrate_process(7, [0], [1]).complete
    assert machine.parts == [] and machine.calls == [([0], [1])]


@pytest.mark.parametrize(
    ("usable", "target", "expected"),
    [
        (range(3), (1, 2), (2, {1, 2})),
        (range(2), (1, 2), (1, {0, 1})),
        (range(16), range(8, 16), (4, set(range(8, 16)))),
        (range(6), (), (3, set(range(6)))),  # a node of memory alone
        (range(16), (15,), (4, set(range(16)))),
    ],
)
def test_threads_run_on_the_cpus_of_the_target(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    usable: range,
    target: Sequence[int],
    expected: tuple[int, set[int]],
) -> None:
    monkeypatch.setattr(migrate, "usable_cpus", lambda: frozenset(usable))
    machine.cpus[1] = tuple(target)
    count, cpus = expected
    assert migrate.movers(1) == (count, frozenset(cpus))


def test_the_caller_stays_on_its_cpus(machine: Machine) -> None:
    before = os.sched_getaffinity(0)
    seen: list[set[int]] = []
    machine.cpus[1] = tuple(before)
    machine.areas = [(0, 3 * migrate._PART_BYTES)]
    machine.room = {1: migrate._PART_BYTES}
    machine.move_process_pages = (  # type: ignore[method-assign]
        lambda *_: seen.append(os.sched_getaffinity(0)) or 0  # type: ignore[func-returns-value]
    )
    nump.migrate_process(7, [0], [1])
    assert len(seen) == 3 and os.sched_getaffinity(0) == before


def test_room_is_asked_for_before_anything_moves(machine: Machine) -> None:
    machine.room = {1: 100}
    with pytest.raises(MemoryError, match=r"150 bytes of process .* to node 1: 100 bytes are"):
        nump.migrate_process(7, [0], [1])
    assert machine.calls == []


def test_what_stays_has_its_likely_reason(machine: Machine) -> None:
    machine.pages["huge"] = {0: 40}
    assert nump.migrate_process(7, [0], [1]).kept_bytes == {"huge": 40}
    machine.failure = None
    machine.migrate_process = lambda *_: 0  # type: ignore[method-assign]
    machine.pages = {"file": {0: 60}, "private": {0: 30}}
    machine.shared = {0: 50}
    machine.room = {1: 1000}
    assert nump.migrate_process(7, [0], [1]).kept_bytes == {"shared": 50, "busy": 40}


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (1, PermissionError, "CAP_SYS_NICE"),
        (3, ProcessLookupError, "no process 7"),
        (38, nump.UnsupportedError, "no migrate_pages"),
        (22, OSError, "Invalid"),
    ],
)
def test_refusals_say_what_to_do(
    machine: Machine, number: int, kind: type[OSError], says: str
) -> None:
    machine.failure = OSError(number, "Invalid")
    with pytest.raises(kind, match=says):
        nump.migrate_process(7, [0], [1])


def test_the_command(node: int) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*MODULE, "migrate", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    with child.running(["sleep", "60"]) as process:
        done = run(str(process.pid), "--to", str(node))
        process.kill()
    assert (done.returncode, done.stderr) == (0, "")
    assert f"moved 0 bytes from no other node to {node}" in done.stdout
    gone = run(str(process.pid), "--to", str(node))
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr == f"numapool: there is no process {process.pid}\n"
    wrong = run("1", "--to", "x")
    assert wrong.returncode == 2 and "for '--to': 'x': it must be" in wrong.stderr

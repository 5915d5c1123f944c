"""Host side of the pytest plugin: runs marked tests in guests and reports them as its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import pytest

from .errors import Unavailable
from .guest import Guest
from .machine import Machine
from .run import MachineRun, in_background, required
from .selection import machine_of

#: Guests at a time; see docs/testing.md for what was measured on two cores.
_JOBS = int(os.environ.get("NUMAPOOL_TEST_GUEST_JOBS", min(2, os.cpu_count() or 1)))
_runs_key = pytest.StashKey[dict[str, MachineRun]]()
_threads_key = pytest.StashKey[list[threading.Thread]]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the host first, then those of each machine together, in order otherwise."""
    order: dict[str | None, int] = {None: -1}
    for item in items:
        order.setdefault(_machine_name(item), len(order))
    items.sort(key=lambda item: order[_machine_name(item)])


def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Replay what the guest reports for this test; None leaves a test of the host to pytest."""
    machine = machine_of(item)
    if machine is None:
        return None
    run = _runs(item.session)[machine.name]
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in run.reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _machine_name(item: pytest.Item) -> str | None:
    machine = machine_of(item)
    return None if machine is None else machine.name


def _runs(session: pytest.Session) -> dict[str, MachineRun]:
    """All runs by machine, begun at the first test that needs one."""
    runs = session.config.stash.get(_runs_key, None)
    if runs is None:
        groups: dict[str, list[pytest.Item]] = {}
        machines: dict[str, Machine] = {}
        for item in session.items:
            machine = machine_of(item)
            if machine is not None:
                groups.setdefault(machine.name, []).append(item)
                machines[machine.name] = machine
        runs = {name: MachineRun(machines[name], items) for name, items in groups.items()}
        session.config.stash[_runs_key] = runs
        session.config.stash[_threads_key] = []
        in_background(list(runs.values()), _JOBS, session.config.stash[_threads_key].append)
    return runs


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End what still runs: with ``-x`` or Ctrl-C guests may be left."""
    for run in session.config.stash.get(_runs_key, {}).values():
        run.stop()
    for thread in session.config.stash.get(_threads_key, []):
        thread.join()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """One line per guest: what its boot and its tests took."""
    runs = config.stash.get(_runs_key, {}).values()
    if runs:
        terminalreporter.section("guests", sep="-")
    for run in runs:
        if run.first_boot is not None:
            terminalreporter.write_line(
                f"{run.machine.name}: a first boot failed: {run.first_boot}"
            )
        boot = "not booted" if run.boot_s is None else f"boot {run.boot_s:5.1f} s"
        terminalreporter.write_line(
            f"{run.machine.name:24} kernel {run.machine.kernel:5} {boot}, "
            f"{run.test_count:3} tests, {run.total_s:6.1f} s in all, {run.cpu_s:6.1f} s of CPU"
        )


@pytest.fixture(scope="module")
def boot() -> Iterator[Callable[[Machine], Guest]]:
    """``boot(machine)``: a guest that the test drives from the host; one per module and machine."""
    guests: dict[str, Guest] = {}

    def boot_once(machine: Machine) -> Guest:
        if machine.name not in guests:
            try:
                guests[machine.name] = Guest(machine)
            except Unavailable as error:
                if required():
                    raise
                pytest.skip(str(error))
        return guests[machine.name]

    yield boot_once
    for guest in guests.values():
        guest.close()

"""Fixtures of the tests that run on any machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support import machine_wide, optional, signals, slow, strays, systems, thread_state, threads

import numapool as nump
from numapool.base import warn_once

# A busy machine is no failure: nothing here is a test of speed.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# Under Wine an example takes several times as long, and finds no more than on Linux.
settings.register_profile("shorter", settings.get_profile("any machine"), max_examples=20)
settings.load_profile("any machine" if systems.ON_LINUX else "shorter")

signals.give_children_defaults()
strays.adopt_orphans()
# The service manager's, of whoever runs the tests in a service: monitors would watch it.
for name in ("MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE"):
    os.environ.pop(name, None)

if systems.ON_WINDOWS:  # Wine shows Linux's /proc and /sys on the drive Z:, where the tests are
    os.chdir("C:\\")


def pytest_report_header() -> list[str]:
    left = {} if systems.ON_LINUX else systems.MODULES
    lines = [f"left to Linux: {name}: it {why}" for name, why in left.items()]
    return [f"engines: {optional.versions()}", *lines]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if systems.why_module_is_left(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if why := systems.why_test_is_left(item.nodeid):
            item.add_marker(pytest.mark.skip(reason=f"Linux alone: {why}"))
        if why := threads.why_test_runs_alone(item):
            item.add_marker(pytest.mark.thread_unsafe(reason=why))
        if slow.is_slow(item):
            item.add_marker(pytest.mark.slow)
        if slow.needs_an_installed_wheel(item):
            item.add_marker(pytest.mark.installed)
        item.add_marker(pytest.mark.xdist_group(machine_wide.group_of(item)))


@pytest.fixture(autouse=True)
def _no_process_outlives_its_test() -> Iterator[None]:
    before = strays.children()
    yield
    left = strays.end_left(before)
    assert not left, f"the test left processes behind, which were killed: {left}"


@pytest.fixture(autouse=True)
def _threads_stay_where_they_were() -> Iterator[None]:
    """Tests come in any order: what one leaves to its thread, another would take for its own."""
    before = thread_state.of_this_thread()
    yield
    assert thread_state.of_this_thread() == before, "the test left its thread bound"


@pytest.fixture(autouse=True)
def _nothing_was_told_before() -> None:
    """A cause is told once in a process: the test that hears of it must not be chosen by order."""
    warn_once._warned_causes.clear()


@pytest.fixture(scope="session")
def allocator() -> nump.NumaAllocator:
    return nump.NumaAllocator()


@pytest.fixture(scope="session")
def node(allocator: nump.NumaAllocator) -> int:
    """Return a node with memory that this process may use."""
    first = allocator.topology.nodes[0].node_id
    return allocator.topology.nearest(first)[0]

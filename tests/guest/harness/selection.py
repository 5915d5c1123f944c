"""Which test runs on which machine: the marker and fixture, on the host as in a guest."""

from __future__ import annotations

import os

import pytest

from .. import machines
from .machine import Machine

MARKER = (
    "machine(*names): run this test inside a guest of each named machine (tests/guest/machines.py)"
)

#: Set in the environment of the pytest that runs inside a guest.
INSIDE_VARIABLE = "NUMAPOOL_TEST_GUEST"


def inside() -> bool:
    """Whether this pytest runs inside a guest."""
    return INSIDE_VARIABLE in os.environ


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per machine that the marker names; the machine's name is part of the test's id."""
    marker = metafunc.definition.get_closest_marker("machine")
    if marker is None:
        return
    unknown = [name for name in marker.args if name not in machines.BY_NAME]
    if unknown or not marker.args:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid}: no machines {unknown}; known: {list(machines.BY_NAME)}"
        )
    if "machine" not in metafunc.fixturenames:
        metafunc.fixturenames.append("machine")
    metafunc.parametrize("machine", marker.args, indirect=True, scope="session")


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> Machine:
    """The description of the machine that this test runs on."""
    return machines.BY_NAME[request.param]


def machine_of(item: pytest.Item) -> Machine | None:
    """The machine that an item belongs to; None for a test that runs on the host."""
    callspec = getattr(item, "callspec", None)
    if callspec is None or item.get_closest_marker("machine") is None:
        return None
    return machines.BY_NAME[callspec.params["machine"]]

"""Fixtures for pytest: put ``pytest_plugins = ["numapool.testing.fixtures"]`` in conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from numapool.machine.topology import NumaTopology
from numapool.testing.machines import fake_topology

__all__ = ["fake_numa"]


@pytest.fixture
def fake_numa(monkeypatch: pytest.MonkeyPatch) -> Callable[..., NumaTopology]:
    """Return a function that makes the test see a machine of so many nodes.

    It takes what :func:`numapool.testing.fake_topology` takes. Until the test ends,
    ``numapool.current_topology()`` and ``NumaTopology.detect()`` return that machine. Memory still
    comes from the real one.
    """

    def pretend(*args: Any, **options: Any) -> NumaTopology:
        topology = fake_topology(*args, **options)
        monkeypatch.setattr("numapool.current_topology", lambda: topology)
        monkeypatch.setattr(NumaTopology, "detect", lambda **_: topology)
        return topology

    return pretend

"""Which tests run one after another when several run at once (pytest-xdist), and why."""

from __future__ import annotations

import pytest

_MEMORY = "fills memory, or counts on how much of it is free"
_MEASURES = "measures, and others would be measured with it"
_CGROUPS = "makes cgroups, whose limits and events are its subject"

#: Modules of one group: a worker runs them one by one. Any other module is a group of its own.
MODULES = {
    "test_balloon": _MEMORY,
    "test_bench": _MEASURES,
    "test_bench_kernels": _MEASURES,
    "test_cgroup_limits": _CGROUPS,
    "test_cli_bench": _MEASURES,
    "test_limits": _MEMORY,
    "test_locked_memory": _MEMORY,
    "test_pressure": _CGROUPS,
    "test_pressure_process": _MEMORY,
    "test_pressure_v1": _CGROUPS,
    "test_soak": _MEMORY,
}


def group_of(item: pytest.Item) -> str:
    """Return the name of the tests with which this one shares a worker."""
    module = item.path.stem
    return "machine" if module in MODULES else module

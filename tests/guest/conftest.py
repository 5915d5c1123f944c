"""Hooks and fixtures of the guest tests; harness/ has the code, machines.py the machines."""

from __future__ import annotations

from .harness.selection import inside, machine, pytest_configure, pytest_generate_tests
from .support.host import host

__all__ = ["host", "machine", "pytest_configure", "pytest_generate_tests"]

if not inside():
    from .harness.plugin import (  # noqa: F401
        boot,
        pytest_collection_modifyitems,
        pytest_runtest_protocol,
        pytest_sessionfinish,
        pytest_terminal_summary,
    )

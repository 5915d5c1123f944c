"""Packages that some tests need: without them a skip, on the project's own machines a failure."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from typing import Any

import pytest

#: The engines that numapool has adapters or recipes for, as packages are called.
ENGINES = ("distributed", "joblib", "torch", "ray", "mpi4py")


def versions() -> str:
    """Return which versions of the engines the tests run with."""
    found = []
    for name in ENGINES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def needed(name: str) -> Any:
    """Import a package of .ci/requirements, or skip the test that asks for it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{name} is not installed ({error}); .ci/requirements lists it")

"""Packages that some tests need: without them a skip, on the project's own machines a failure."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def needed(name: str) -> Any:
    """Import a package of .ci/requirements, or skip the test that asks for it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{name} is not installed ({error}); .ci/requirements lists it")

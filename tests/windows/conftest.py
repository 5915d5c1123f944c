"""Tests that only a Windows Python can run; .ci/windows/test runs them under Wine."""

from __future__ import annotations

import sys
from pathlib import Path

# What they share with those that run everywhere.
sys.path.insert(0, str(Path(__file__).parents[1] / "python"))

if sys.platform != "win32":
    collect_ignore_glob = ["*"]

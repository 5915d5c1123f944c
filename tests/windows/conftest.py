"""Tests that only a Windows Python can run; .ci/windows/test runs them under Wine."""

from __future__ import annotations

import sys

if sys.platform != "win32":
    collect_ignore_glob = ["*"]

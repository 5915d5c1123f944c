"""Tests that pass, skip, fail, get their process killed and crash the kernel, in order."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

#: What tests of this process left behind.
_left: list[str] = []

pytestmark = pytest.mark.machine("two_equal")


def test_passes() -> None:
    assert Path("/proc/self/status").exists()


def test_skips() -> None:
    pytest.skip("a reason of its own")


def test_fails() -> None:
    _left.append("memory of the failing test")
    Path("/dev/kmsg").write_text("said by the failing test\n")
    assert Path("/proc/self/status").read_text() == "nothing like it"


def test_runs_after_a_failure() -> None:
    assert _left == []


def test_is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_runs_after_a_kill() -> None:
    assert os.getpid() > 1


def test_crashes_the_kernel() -> None:
    Path("/proc/sysrq-trigger").write_text("c")


def test_comes_too_late() -> None:
    pass

"""Runs functions in forked children, perhaps in a cgroup, and tells how they ended."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CGROUPS = Path("/sys/fs/cgroup")
_END_TIMEOUT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a child ended: what its function returned or raised, or the signal that killed it."""

    result: Any = None
    error: str | None = None
    signal: signal.Signals | None = None


class Cgroup:
    """A cgroup (v2) below the root, with memory, cpuset and hugetlb limits; removed on exit."""

    def __init__(self, name: str, **limits: str | int) -> None:
        (CGROUPS / "cgroup.subtree_control").write_text("+memory +cpuset +hugetlb")
        self.path = CGROUPS / name
        self.path.mkdir()
        for file, value in limits.items():  # memory_max=... is memory.max
            (self.path / file.replace("_", ".", 1)).write_text(str(value))

    def read(self, file: str) -> str:
        """The text of one of its files."""
        return (self.path / file).read_text().strip()

    def events(self) -> dict[str, int]:
        """memory.events."""
        lines = (line.split() for line in self.read("memory.events").splitlines())
        return {name: int(count) for name, count in lines}

    def enter(self) -> None:
        """Move this process into it."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def __enter__(self) -> Cgroup:
        return self

    def __exit__(self, *_: object) -> None:
        end = time.monotonic() + _END_TIMEOUT_S
        while "populated 1" in self.read("cgroup.events") and time.monotonic() < end:
            time.sleep(0.05)
        self.path.rmdir()


def in_child(
    function: Callable[..., Any],
    *arguments: object,
    cgroup: Cgroup | None = None,
    victim: bool = False,
) -> Outcome:
    """Call a function in a fork of this process and wait for its end.

    Parameters
    ----------
    function, arguments
        What to call; the result must be JSON.
    cgroup
        Entered by the child before the call.
    victim
        Have the OOM killer take the child before anybody else.
    """
    with _child(function, arguments, cgroup, victim) as (pid, answers):
        text = answers.read()
        _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return Outcome(signal=signal.Signals(os.WTERMSIG(status)))
    return Outcome(**json.loads(text))


@contextmanager
def beside_child(function: Callable[[], Any]) -> Iterator[Any]:
    """Run a function in a fork and keep the child, with its memory, after the result came."""
    with _child(function, (), None, False, stay=True) as (pid, answers):
        outcome = Outcome(**json.loads(answers.readline()))
        assert outcome.error is None, outcome.error
        try:
            yield outcome.result
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextmanager
def _child(
    function: Callable[..., Any],
    arguments: tuple[object, ...],
    cgroup: Cgroup | None,
    victim: bool,
    stay: bool = False,
) -> Iterator[tuple[int, Any]]:
    sys.stdout.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            if victim:
                Path("/proc/self/oom_score_adj").write_text("1000")
            if cgroup is not None:
                cgroup.enter()
            answer = {"result": function(*arguments)}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        os.write(writer, json.dumps(answer).encode() + b"\n")
        while stay:
            signal.pause()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answers:
        yield pid, answers

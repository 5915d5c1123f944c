"""Runs all tests of one machine in one guest and keeps their reports for the host's pytest."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from . import requests
from .errors import GuestError, Unavailable
from .guest import Guest
from .machine import Machine
from .selection import INSIDE_VARIABLE

#: Silence after which a test counts as stuck, without the time in which the guest waited for a
#: processor of the host; pytest prints the stacks of its threads at a half.
SILENCE_TIMEOUT_S = 180.0
_INSIDE = "tests.guest.harness.inside"
_PACKAGE_ROOT = Path(__file__).resolve().parents[3]
_Report = dict[str, Any]
_Location = tuple[str, int | None, str]


class MachineRun:
    """The tests of one machine; :meth:`run` may work on any thread.

    Parameters
    ----------
    machine
        Booted once more only where it did not come up; what has run tests is never booted again.
    items
        Its tests in the order in which they shall run.
    """

    def __init__(self, machine: Machine, items: list[pytest.Item]) -> None:
        self.machine = machine
        self.boot_s: float | None = None
        #: Why the first guest did not come up, where it did not.
        self.first_boot: str | None = None
        self.total_s = 0.0
        self.cpu_s = 0.0
        self.test_count = len(items)
        self._root = items[0].config.rootpath
        self._locations: dict[str, _Location] = {item.nodeid: item.location for item in items}
        self._inboxes: dict[str, queue.Queue[_Report | None]] = {
            item.nodeid: queue.Queue() for item in items
        }
        self._pending = list(self._locations)
        self._guest: Guest | None = None
        self._stopped = threading.Event()

    def reports(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """The reports of one test as they come; ends when the test has ended."""
        while (data := self._inboxes[item.nodeid].get()) is not None:
            for key in ("longrepr", "location"):  # JSON made lists of pytest's tuples
                if isinstance(data[key], list):
                    data[key] = tuple(data[key])
            yield item.config.hook.pytest_report_from_serializable(config=item.config, data=data)

    def run(self) -> None:
        """Boot, run every test, and account for every one, whatever happens."""
        began = time.monotonic()
        try:
            if not self._stopped.is_set():
                with self._booted() as self._guest:
                    self.boot_s = self._guest.boot_s
                    self._run_tests(self._guest)
        except Unavailable as error:
            self._give_up(str(error), "failed" if required() else "skipped")
        except Exception as error:
            self._give_up(str(error) if isinstance(error, GuestError) else traceback.format_exc())
        finally:
            self._give_up("stopped")
            if self._guest is not None:
                self.cpu_s = self._guest.cpu_s
            self.total_s = time.monotonic() - began

    def stop(self) -> None:
        """End the guest now; what has not run is reported as failed to whoever still asks."""
        self._stopped.set()
        if self._guest is not None:
            self._guest.close()

    def _booted(self) -> Guest:
        """The guest; a second one if a starved computer did not get the first up in time."""
        try:
            return Guest(self.machine)
        except GuestError as error:
            if self._stopped.is_set():
                raise
            self.first_boot = str(error)
            return Guest(self.machine)

    def _run_tests(self, guest: Guest) -> None:
        """One pytest after another over what is left.

        A test may get its process killed; and one that fails ends it (inside.py).
        """
        while self._pending:
            left = len(self._pending)
            (guest.share / "tests").write_text("\n".join(self._pending))
            process = guest.start(
                [sys.executable, "-m", _INSIDE, "/run/share/tests", *self._arguments()],
                environment={INSIDE_VARIABLE: "1", "PYTHONPATH": str(_PACKAGE_ROOT)},
                directory=self._root,
                merge=False,
            )
            running: str | None = None
            try:
                for line in process.lines(SILENCE_TIMEOUT_S):
                    message = json.loads(line)
                    running = message.get("start", running)
                    if "ask" in message:
                        process.send(json.dumps(requests.answer(guest, message["ask"])))
                    elif "report" in message:
                        self._inboxes[message["report"]["nodeid"]].put(message["report"])
                    elif "finish" in message:
                        self._finish(message["finish"])
                        running = None
            except GuestError as error:
                if running is not None:
                    self._fail(running, f"while this test ran: {error}")
                raise
            if running is not None:
                self._fail(
                    running,
                    str(guest.failure(f"pytest ended with {process.code} while this test ran")),
                )
            elif len(self._pending) == left:
                raise guest.failure(
                    f"pytest ended with {process.code} and ran none of {left} tests"
                )

    def _arguments(self) -> list[str]:
        return [
            *(
                "--rootdir",
                str(self._root),
                "--import-mode=prepend",
                "-p",
                "no:cacheprovider",
                "-o",
                "addopts=",
            ),
            *(
                "-o",
                f"faulthandler_timeout={SILENCE_TIMEOUT_S / 2}",
                "--color=no",
                "-q",
                "--no-header",
                "-rN",
            ),
        ]

    def _finish(self, nodeid: str) -> None:
        self._pending.remove(nodeid)
        self._inboxes[nodeid].put(None)

    def _give_up(self, why: str, outcome: str = "failed") -> None:
        for nodeid in list(self._pending):
            self._fail(nodeid, why, outcome)

    def _fail(self, nodeid: str, why: str, outcome: str = "failed") -> None:
        """Reports of the host's own for a test that cannot report any more."""
        location = self._locations[nodeid]
        longrepr: object = (
            why if outcome == "failed" else (location[0], (location[1] or 0) + 1, f"Skipped: {why}")
        )
        when = "call" if outcome == "failed" else "setup"
        for phase, result, text in ((when, outcome, longrepr), ("teardown", "passed", None)):
            report = _report(nodeid, location, phase, result, text)
            self._inboxes[nodeid].put(report)
        self._finish(nodeid)


def _report(nodeid: str, location: _Location, when: str, outcome: str, longrepr: object) -> _Report:
    """A report in pytest's serialized form."""
    return {
        "$report_type": "TestReport",
        "nodeid": nodeid,
        "location": location,
        "keywords": {},
        "outcome": outcome,
        "longrepr": longrepr,
        "when": when,
        "sections": [],
        "duration": 0.0,
        "start": time.time(),
        "stop": time.time(),
    }


def required() -> bool:
    """Whether guests must run here: in CI a missing tool is a failure, elsewhere a skip."""
    return os.environ.get("CI", "").lower() in ("1", "true")


def in_background(
    runs: list[MachineRun], jobs: int, started: Callable[[threading.Thread], None]
) -> None:
    """Work off ``runs`` in order, ``jobs`` at a time, on threads handed to ``started``."""
    waiting: queue.SimpleQueue[MachineRun] = queue.SimpleQueue()
    for run in runs:
        waiting.put(run)

    def work() -> None:
        while True:
            try:
                waiting.get_nowait().run()
            except queue.Empty:
                return

    for number in range(min(jobs, len(runs))):
        thread = threading.Thread(target=work, name=f"guest run {number}", daemon=True)
        thread.start()
        started(thread)

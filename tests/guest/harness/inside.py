"""Guest side: runs pytest over chosen tests and streams its reports to the host.

``python -m tests.guest.harness.inside FILE ARGUMENT...``: FILE lists node ids, one a line; the
arguments go to pytest. Standard output carries ``{"start": nodeid}``, ``{"report": ...}`` and
``{"finish": nodeid}`` as they happen, so that the host knows which test was running when a guest
dies; and ``{"ask": request}``, which the host answers by a line on standard input (requests.py).
What pytest itself writes goes to the console.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any, TextIO

import pytest

from ..support.host import LINK_NAME
from ..support.kernel_log import KernelLog


class Link:
    """The way to the host: messages out, answers back. Any thread may use it."""

    def __init__(self, stream: TextIO, answers: TextIO) -> None:
        self._stream = stream
        self._answers = answers
        self._stream_lock = threading.Lock()
        self._ask_lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message."""
        with self._stream_lock:
            print(json.dumps(message), file=self._stream, flush=True)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return the answer (requests.py)."""
        with self._ask_lock:
            self.send({"ask": request})
            line = self._answers.readline()
        return dict(json.loads(line)) if line else {"error": f"the host has gone: {request}"}


class Reporter:
    """Sends each report on; a failed test's with what the kernel logged meanwhile.

    A failed test is the last one of its pytest: its traceback keeps the buffers that it held. The
    host starts another pytest, so that no test fails because an earlier one did.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._config: pytest.Config
        self._session: pytest.Session
        self._log = KernelLog()

    def pytest_configure(self, config: pytest.Config) -> None:
        self._config = config
        # By its name: pytest imports the tests' modules again, under names of its own.
        config.pluginmanager.register(self._link, LINK_NAME)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._log.close()
        self._log = KernelLog()
        self._link.send({"start": nodeid})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            self._session.shouldstop = "a test failed"
            report.sections.append(("kernel log of the guest", "\n".join(self._log.lines())))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        to_serializable = self._config.hook.pytest_report_to_serializable
        self._link.send({"report": to_serializable(config=self._config, report=report)})

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._link.send({"finish": nodeid})


def main(list_file: str, arguments: list[str]) -> int:
    """Run the tests named in ``list_file``; the exit status is pytest's."""
    with (
        Path(list_file).open() as names,
        os.fdopen(os.dup(1), "w") as stream,
        os.fdopen(os.dup(0)) as answers,
    ):
        os.dup2(2, 1)
        reporter = Reporter(Link(stream, answers))
        return int(pytest.main([*arguments, *names.read().splitlines()], plugins=[reporter]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

"""Guest side: runs pytest over chosen tests and streams its reports to the host.

``python -m tests.guest.harness.inside FILE ARGUMENT...``: FILE lists node ids, one a line; the
arguments go to pytest. Standard output carries ``{"start": nodeid}``, ``{"report": ...}`` and
``{"finish": nodeid}`` as they happen, so that the host knows which test was running when a guest
dies. What pytest itself writes goes to the console.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, TextIO

import pytest

from ..support.kernel_log import KernelLog


class Reporter:
    """Sends each report on; a failed test's with what the kernel logged meanwhile."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._config: pytest.Config
        self._log = KernelLog()

    def pytest_configure(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._log.close()
        self._log = KernelLog()
        self._send({"start": nodeid})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            report.sections.append(("kernel log of the guest", "\n".join(self._log.lines())))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        to_serializable = self._config.hook.pytest_report_to_serializable
        self._send({"report": to_serializable(config=self._config, report=report)})

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._send({"finish": nodeid})

    def _send(self, message: dict[str, Any]) -> None:
        print(json.dumps(message), file=self._stream, flush=True)


def main(list_file: str, arguments: list[str]) -> int:
    """Run the tests named in ``list_file``; the exit status is pytest's."""
    with Path(list_file).open() as names, os.fdopen(os.dup(1), "w") as stream:
        os.dup2(2, 1)
        return int(
            pytest.main([*arguments, *names.read().splitlines()], plugins=[Reporter(stream)])
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

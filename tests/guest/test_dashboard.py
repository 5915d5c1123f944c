"""The dashboard's panels show a real spill and a real trim, on two nodes, as Prometheus answers.

It takes two minutes and Debian's package prometheus, so it runs when it is asked for:
``NUMAPOOL_TEST_PROMETHEUS=1 python -m pytest tests/guest/test_dashboard.py``. With
``NUMAPOOL_DASHBOARD_PICTURE=FILE.png`` it draws the panels as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from numapool.metrics import dashboards

from . import machines
from .harness.guest import Guest
from .harness.machine import Balloon, Machine
from .support import recorded_program

if os.environ.get("NUMAPOOL_TEST_PROMETHEUS") != "1":
    pytest.skip("NUMAPOOL_TEST_PROMETHEUS=1 runs Prometheus itself", allow_module_level=True)

_MACHINE = replace(
    machines.TWO_EQUAL, name="dashboard", shared_memory=True, balloon=Balloon(), kernel="6.12"
)
_LONGEST_S = 600.0
_PORT = 19790


@contextmanager
def _prometheus(folder: Path) -> Iterator[str]:
    """Run Prometheus on what was recorded; yield the address of its API."""
    (folder / "prometheus.yml").write_text("{}")
    options = [
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{_PORT}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["prometheus", *options], stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{_PORT}"
            end = time.monotonic() + 60
            while time.monotonic() < end:
                with suppress(OSError), urllib.request.urlopen(f"{address}/-/ready"):
                    break
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()
            process.wait(60)


def _asked(address: str, start: float, end: float) -> Callable[[str], list[dict[str, Any]]]:
    def answers(expression: str) -> list[dict[str, Any]]:
        filled = expression.replace("$__rate_interval", "5s")
        filled = filled.replace("$job", ".*").replace("$instance", ".*")
        query = urllib.parse.urlencode({"query": filled, "start": start, "end": end, "step": "0.5"})
        with urllib.request.urlopen(f"{address}/api/v1/query_range?{query}") as answer:
            told = json.load(answer)
        assert told["status"] == "success", (filled, told)
        return list(told["data"]["result"])

    return answers


def _most(answer: list[dict[str, Any]], **labels: str) -> float:
    """Return the highest value of the series with these labels."""
    chosen = [one for one in answer if labels.items() <= one["metric"].items()]
    return max((float(value) for one in chosen for _, value in one["values"]), default=0)


def test_panels_show_a_spill_and_a_trim(boot: Callable[[Machine], Guest], tmp_path: Path) -> None:
    guest = boot(_MACHINE)
    program = [sys.executable, "-m", recorded_program.__name__]
    running = guest.start(
        [*program, "/run/share/recorded.om"], directory=Path(__file__).resolve().parents[1]
    )
    assert running.line(_LONGEST_S) == "serving"
    guest.qmp("balloon", value=1792 << 20)  # of 2 GiB
    said = running.wait(_LONGEST_S)
    assert running.code == 0, said
    recorded = guest.share / "recorded.om"
    times = [float(line.split()[-1]) for line in recorded.read_text().splitlines()[:-1]]
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", recorded, tmp_path / "data"],
        check=True,
    )
    with _prometheus(tmp_path) as address:
        answers = _asked(address, min(times), max(times))
        by_title = {
            title: [answers(one) for one in some] for title, some in dashboards.queries().items()
        }
        assert _most(by_title["Spills"][0], pool="kv-cache", node="1") > 0, said
        assert _most(by_title["Trimmed"][0], pool="kv-cache", node="1") > 8 << 20, said
        assert _most(by_title["Resident memory, by node and process"][0], node="1") > 256 << 20
        assert 0 < _most(by_title["Hit ratio"][0], pool="batches") <= 1
        assert _most(by_title["Level"][0]) >= 1
        assert _most(by_title["Events"][0], source="nodes") > 0
        assert _most(by_title["Balloon"][0]) >= 128 << 20
        assert by_title["Remote accesses"][0]
        picture = os.environ.get("NUMAPOOL_DASHBOARD_PICTURE")
        if picture:
            from .support import panels  # Matplotlib

            panels.draw(Path(picture), dashboards.dashboard(), answers, (min(times), max(times)))

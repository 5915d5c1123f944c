"""The dashboard and the alert rules name what the collector exports, and Prometheus reads them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import child
from support.optional import needed
from typer.testing import CliRunner

from numapool.cli.app import app
from numapool.metrics import dashboards
from numapool.metrics.instruments import INSTRUMENTS

#: The real thing takes 30 s and Debian's package prometheus (`.ci/apt-install prometheus`).
REAL = os.environ.get("NUMAPOOL_TEST_PROMETHEUS") == "1"
really = pytest.mark.skipif(not REAL, reason="NUMAPOOL_TEST_PROMETHEUS=1 runs Prometheus itself")
ALERTS = child.TESTS.parent / "fixtures" / "prometheus" / "alerts_test.yml"
_CALLED = {
    "gauge": "{}",
    "counter": "{}",
    "histogram": "{}_bucket",
    "info": "{}_info",
}
EXPORTED = {_CALLED[one.kind].format(one.name): one for one in INSTRUMENTS.values()}


def expressions() -> list[str]:
    """Return every expression of the dashboard and of the rules."""
    panels = [one for some in dashboards.queries().values() for one in some]
    groups = yaml.safe_load(dashboards.rules())["groups"]
    return panels + [rule["expr"] for group in groups for rule in group["rules"]]


def test_every_metric_that_is_named_is_exported() -> None:
    text = json.dumps(dashboards.dashboard()) + dashboards.rules()
    named = set(re.findall(r"\bnumapool_\w+", text))
    assert len(named) > 20
    assert named <= set(EXPORTED)


def test_every_label_that_is_named_is_exported() -> None:
    for expression in expressions():
        known = {"job", "instance", "le"}
        for name in re.findall(r"\bnumapool_\w+", expression):
            known |= set(EXPORTED[name].labels)
        assert set(re.findall(r'[{,](\w+)(?:=~|!=|=)"', expression)) <= known, expression
        for listed in re.findall(r"by \(([^)]*)\)", expression):
            assert set(listed.split(", ")) <= known, expression


def test_panels_fill_rows_and_do_not_overlap() -> None:
    found = dashboards.dashboard()
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 15
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["type"] == "row" or panel["targets"]
        assert panel["type"] == "row" or panel["description"].endswith(".")
    variables = {one["name"] for one in found["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels))) - {"__rate_interval"}
    assert used == variables


def test_the_command_prints_a_scrape_a_dashboard_and_rules() -> None:
    needed("prometheus_client")

    def said(*options: str) -> str:
        done = CliRunner().invoke(app, ["metrics", *options])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert json.loads(said("--dashboard")) == dashboards.dashboard()
    assert said("--rules") == dashboards.rules()
    scrape = said()
    assert "numapool_machine_memory_bytes " in scrape
    told = set(re.findall(r"^# TYPE (\S+) ", scrape, re.MULTILINE))
    assert told <= set(EXPORTED) | {"numapool_pressure_reaction_seconds"}
    assert CliRunner().invoke(app, ["metrics", "--dashboard", "--rules"]).exit_code == 2


@really
def test_promtool_reads_the_rules_and_each_alert_fires(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(dashboards.rules())
    shutil.copy(ALERTS, tmp_path)
    tried = set(re.findall(r"alertname: (\w+)", ALERTS.read_text()))
    assert tried == set(re.findall(r"alert: (\w+)", dashboards.rules()))
    for command in (["check", "rules", "rules.yml"], ["test", "rules", ALERTS.name]):
        done = subprocess.run(
            ["promtool", *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


#: A program as users write it: a pool that is used, trimmed by rehearsals, and told of by a server.
PROGRAM = """
import time
import numapool as nump
from numapool.testing import pressure
from prometheus_client import CollectorRegistry, start_http_server
registry = CollectorRegistry()
with nump.BufferPool(name="kv-cache", max_bytes="64MiB") as pool, nump.PressureMonitor() as monitor:
    monitor.attach(pool)
    registry.register(nump.MetricsCollector(monitor=monitor, balloon=nump.BalloonDriver()))
    server, _ = start_http_server(0, addr="127.0.0.1", registry=registry)
    print(server.server_port, flush=True)
    while True:
        pool.reserve("1MiB", 16)
        for _ in range(20):
            pool.acquire("1MiB").close()
        with pressure(demand_bytes="8MiB", monitors=[monitor]):
            time.sleep(0.5)
        time.sleep(0.2)
"""


@contextlib.contextmanager
def prometheus(folder: Path, target: str) -> Iterator[str]:
    """Run Prometheus, which scrapes a target each half second; yield the address of its API."""
    (folder / "rules.yml").write_text(dashboards.rules())
    config = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "app", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = 19090 + os.getpid() % 1000
    options = [
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (
        (folder / "log").open("w") as log,
        child.running(["prometheus", *options], stdout=log, stderr=log) as process,
    ):
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def asked(address: str, expression: str) -> list[dict[str, Any]]:
    """Return what Prometheus answers; nothing while it does not."""
    query = urllib.parse.urlencode({"query": expression})
    with contextlib.suppress(OSError):
        with urllib.request.urlopen(f"{address}/api/v1/query?{query}", timeout=30) as answer:
            told = json.load(answer)
        assert told["status"] == "success", (expression, told)
        return list(told["data"]["result"])
    return []


def for_a_reader_of_all(expression: str) -> str:
    """Fill in Grafana's variables."""
    filled = expression.replace("$__rate_interval", "10s").replace("$job", ".*")
    return filled.replace("$instance", ".*")


@really
def test_every_panel_shows_a_program_under_rehearsed_pressure(tmp_path: Path) -> None:
    needed("prometheus_client")
    with child.running(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        target = f"127.0.0.1:{program.stdout.readline().strip()}"
        with urllib.request.urlopen(f"http://{target}/metrics") as answer:
            told = answer.read().decode()
        exposed = set(re.findall(r"^(numapool_\w+)", told, re.MULTILINE))
        with prometheus(tmp_path, target) as address:
            events = 'sum(rate(numapool_pressure_events_total{source="rehearsal"}[10s])) > 0'
            end = time.monotonic() + 60
            while not asked(address, events) and time.monotonic() < end:
                time.sleep(0.5)
            for title, queries in dashboards.queries().items():
                for query in queries:
                    found = asked(address, for_a_reader_of_all(query))
                    # What this machine does not tell: a share with one node, a host's wishes.
                    if set(re.findall(r"\bnumapool_\w+", query)) <= exposed:
                        assert found, (title, query)
                        assert all(one["value"][1] != "NaN" for one in found), (title, query)
            trimmed = asked(address, "sum(rate(numapool_pool_trimmed_bytes_total[10s]))")
            assert float(trimmed[0]["value"][1]) > 1 << 20
            with urllib.request.urlopen(f"{address}/api/v1/rules") as answer:
                groups = json.load(answer)["data"]["groups"]
            assert {rule["health"] for rule in groups[0]["rules"]} == {"ok"}
        program.kill()

"""``numapool metrics``: what a scrape says, a dashboard, and alert rules."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer


def metrics(
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Print a dashboard for Grafana (JSON) instead.")
    ] = False,
    rules: Annotated[
        bool, typer.Option("--rules", help="Print alert rules for Prometheus (YAML) instead.")
    ] = False,
) -> None:
    """Print what a scrape of numapool's metrics says, of this machine and this command.

    Programs export their own: numapool.MetricsCollector. Needs prometheus_client, except for
    --dashboard and --rules.
    """
    if dashboard and rules:
        raise typer.BadParameter("one of --dashboard and --rules")
    if dashboard or rules:
        from numapool.metrics import dashboards

        text = json.dumps(dashboards.dashboard(), indent=2) if dashboard else dashboards.rules()
        typer.echo(text.removesuffix("\n"))
    else:
        typer.echo(_scrape(), nl=False)


def _scrape() -> str:
    from numapool.balloon.driver import BalloonDriver
    from numapool.metrics.collector import MetricsCollector
    from numapool.pressure.monitor import PressureMonitor

    with PressureMonitor() as monitor:
        collector = MetricsCollector(monitor=monitor, balloon=BalloonDriver())
        while monitor.reading() is None:  # the first look takes a millisecond or so
            time.sleep(0.001)
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(collector)
        return generate_latest(registry).decode()

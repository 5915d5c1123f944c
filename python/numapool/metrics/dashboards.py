"""A dashboard for Grafana and alert rules for Prometheus, of the metrics of numapool."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from numapool.metrics.instruments import INSTRUMENTS

__all__ = ["dashboard", "queries", "rules"]

_CHOSEN = '{job=~"$job",instance=~"$instance"%s}'
_UNUSUAL = 'kind!="hit",kind!="local"'
_CHARGED = 'kind=~"anon|file"'
_WIDTH, _COLUMNS, _HEIGHT = 24, 3, 8


@dataclass(frozen=True, kw_only=True, slots=True)
class _Panel:
    """One picture; `queries` are expressions, each with what its lines are called."""

    title: str
    about: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    stacked: bool = False
    most: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rule:
    name: str
    expression: str
    hold: str
    severity: str
    summary: str
    about: str


def _of(name: str, matchers: str = "") -> str:
    """Return the series of a metric that the dashboard's reader has chosen."""
    ending = "_bucket" if INSTRUMENTS[name].kind == "histogram" else ""
    return INSTRUMENTS[name].name + ending + _CHOSEN % (matchers and f",{matchers}")


def _rate(name: str, matchers: str = "") -> str:
    return f"rate({_of(name, matchers)}[$__rate_interval])"


def _rows() -> dict[str, tuple[_Panel, ...]]:
    hits, misses = _rate("pool_hits_total"), _rate("pool_misses_total")
    full = _rate("pressure_stall_seconds_total", 'tasks="full"')
    return {
        "Is the memory where the threads are?": (
            _Panel(
                title="Remote accesses",
                about="The share of memory accesses that go to another node than the thread's. "
                "An estimate unless the kernel samples faults. Absent with a single node.",
                queries=((_of("process_remote_ratio"), "{{instance}} ({{evidence}})"),),
                unit="percentunit",
                most=1,
            ),
            _Panel(
                title="Resident memory, by node and process",
                about="Where the pages of each process are.",
                queries=(
                    (
                        f"sum by (instance, node) ({_of('process_resident_bytes')})",
                        "{{instance}} node {{node}}",
                    ),
                ),
                unit="bytes",
                stacked=True,
            ),
            _Panel(
                title="Threads, by node and process",
                about="Which node's CPUs the threads of each process last ran on.",
                queries=((_of("process_threads"), "{{instance}} node {{node}}"),),
                stacked=True,
            ),
            _Panel(
                title="Memory now, by node and process",
                about="The same as the resident memory, as bars.",
                queries=(
                    (
                        f"sum by (instance, node) ({_of('process_resident_bytes')})",
                        "{{instance}} node {{node}}",
                    ),
                ),
                unit="bytes",
                kind="bargauge",
            ),
            _Panel(
                title="Pages that nodes gave (numastat)",
                about="miss: given here although another node was preferred. foreign: preferred "
                "here, given elsewhere. other: given here to a thread of another node.",
                queries=(
                    (
                        f"sum by (node, kind) ({_rate('node_allocated_pages_total', _UNUSUAL)})",
                        "node {{node}} {{kind}}",
                    ),
                ),
                unit="cps",
            ),
            _Panel(
                title="Page moves and balancing",
                about="What the kernel moved, and the faults by which automatic balancing samples.",
                queries=(
                    (
                        f"sum by (result) ({_rate('machine_migrated_pages_total')})",
                        "moved: {{result}}",
                    ),
                    (
                        f"sum by (place) ({_rate('machine_balancing_faults_total')})",
                        "balancing faults: {{place}}",
                    ),
                ),
                unit="cps",
            ),
        ),
        "Pools": (
            _Panel(
                title="Hit ratio",
                about="Requests served by a retained block.",
                queries=(
                    (
                        f"sum by (instance, pool) ({hits}) / "
                        f"(sum by (instance, pool) ({hits}) + sum by (instance, pool) ({misses}))",
                        "{{instance}} {{pool}}",
                    ),
                ),
                unit="percentunit",
                most=1,
            ),
            _Panel(
                title="Spills",
                about="Requests served from another node than the one asked for: it is too small.",
                queries=((_rate("pool_spills_total"), "{{instance}} {{pool}} node {{node}}"),),
                unit="cps",
            ),
            _Panel(
                title="In use and retained",
                about="Bytes in buffers, and bytes kept for the next ones.",
                queries=(
                    (
                        f"sum by (pool, node) ({_of('pool_in_use_bytes')})",
                        "{{pool}} node {{node}} in use",
                    ),
                    (
                        f"sum by (pool, node) ({_of('pool_retained_bytes')})",
                        "{{pool}} node {{node}} retained",
                    ),
                ),
                unit="bytes",
                stacked=True,
            ),
            _Panel(
                title="Trimmed",
                about="What pools gave back to the system.",
                queries=(
                    (
                        f"sum by (pool, node) ({_rate('pool_trimmed_bytes_total')})",
                        "{{pool}} node {{node}}",
                    ),
                ),
                unit="Bps",
            ),
        ),
        "Pressure": (
            _Panel(
                title="Level",
                about="0 none, 1 moderate, 2 critical.",
                queries=((_of("pressure_level"), "{{instance}}"),),
                most=2,
            ),
            _Panel(
                title="Events",
                about="By what gave the evidence; a rehearsal is one of them.",
                queries=(
                    (
                        f"sum by (source) ({_rate('pressure_events_total')})",
                        "{{source}}",
                    ),
                ),
                unit="cps",
            ),
            _Panel(
                title="Time lost to stalls",
                about="All tasks waited for memory in so much of the time.",
                queries=((full, "{{instance}}"),),
                unit="percentunit",
            ),
            _Panel(
                title="Reaction time",
                about="From the beginning of the pressure to released memory: half, and 99 %.",
                queries=tuple(
                    (
                        f"histogram_quantile({share}, "
                        f"sum by (le) ({_rate('pressure_reaction_seconds')}))",
                        name,
                    )
                    for share, name in ((0.5, "median"), (0.99, "99 %"))
                ),
                unit="s",
            ),
            _Panel(
                title="Available memory of nodes",
                about="Above the kernel's reserve, clean file cache counted.",
                queries=(
                    (
                        f"min by (node) ({_of('node_memory_available_bytes')})",
                        "node {{node}}",
                    ),
                ),
                unit="bytes",
            ),
            _Panel(
                title="Memory of the cgroup by node",
                about="Anonymous and file memory of each program's cgroup.",
                queries=(
                    (
                        f"sum by (instance, node) ({_of('cgroup_memory_bytes', _CHARGED)})",
                        "{{instance}} node {{node}}",
                    ),
                ),
                unit="bytes",
                stacked=True,
            ),
        ),
        "Balloon": (
            _Panel(
                title="Balloon",
                about="What the host has taken, and wants to take.",
                queries=(
                    (f"max({_of('balloon_inflated_bytes')})", "taken"),
                    (f"max({_of('balloon_target_bytes')})", "wanted"),
                ),
                unit="bytes",
            ),
        ),
    }


def _rules() -> tuple[_Rule, ...]:
    def name(key: str) -> str:
        return INSTRUMENTS[key].name

    return (
        _Rule(
            name="NumapoolRemoteMemory",
            expression=f"max by (job, instance) ({name('process_remote_ratio')}) > 0.3",
            hold="10m",
            severity="warning",
            summary="{{ $labels.instance }}: {{ $value | humanizePercentage }} of accesses remote",
            about="Threads use memory of other nodes. Bind the program to a node (numapool run), "
            "place its memory where it runs, or move it (numapool migrate).",
        ),
        _Rule(
            name="NumapoolPoolSpills",
            expression="sum by (job, instance, pool, node) "
            f"(rate({name('pool_spills_total')}[5m])) > 0",
            hold="5m",
            severity="warning",
            summary="Pool {{ $labels.pool }} is served from other nodes than node "
            "{{ $labels.node }}",
            about="The node has no room for the requests: give the pool less, or the machine more.",
        ),
        _Rule(
            name="NumapoolMemoryPressure",
            expression=f"max by (job, instance) ({name('pressure_level')}) >= 1",
            hold="5m",
            severity="warning",
            summary="{{ $labels.instance }}: memory is short",
            about="The monitor has trimmed what it could, and memory is still short.",
        ),
        _Rule(
            name="NumapoolMemoryPressureCritical",
            expression=f"max by (job, instance) ({name('pressure_level')}) >= 2",
            hold="30s",
            severity="critical",
            summary="{{ $labels.instance }}: memory is very short",
            about="The kernel may kill a process soon. Release memory or raise the limit.",
        ),
        _Rule(
            name="NumapoolStalled",
            expression="max by (job, instance) "
            f'(rate({name("pressure_stall_seconds_total")}{{tasks="full"}}[1m])) > 0.1',
            hold="2m",
            severity="critical",
            summary="{{ $labels.instance }}: {{ $value | humanizePercentage }} of the time lost",
            about="All tasks wait for memory for a part of the time.",
        ),
        _Rule(
            name="NumapoolNodeNearlyFull",
            expression=f"min by (job, instance, node) ({name('node_memory_available_bytes')} / "
            f"{name('node_memory_bytes')}) < 0.03",
            hold="10m",
            severity="warning",
            summary="Node {{ $labels.node }} has {{ $value | humanizePercentage }} left",
            about="Memory for this node will spill to others.",
        ),
        _Rule(
            name="NumapoolCgroupNearLimit",
            expression=f"max by (job, instance) ({name('cgroup_needed_bytes')} / "
            f"{name('cgroup_limit_bytes')}) > 0.95",
            hold="5m",
            severity="warning",
            summary="{{ $labels.instance }}: {{ $value | humanizePercentage }} of the limit used",
            about="The cgroup has little room left below memory.high or memory.max.",
        ),
        _Rule(
            name="NumapoolBalloonTakesMemory",
            expression=f"max by (job, instance) ({name('balloon_inflated_bytes')} / "
            f"{name('machine_memory_bytes')}) > 0.2",
            hold="10m",
            severity="warning",
            summary="The host has taken {{ $value | humanizePercentage }} of the memory",
            about="The hypervisor's balloon is inflated.",
        ),
        _Rule(
            name="NumapoolEventsDropped",
            expression="sum by (job, instance) "
            f"(increase({name('pressure_dropped_events_total')}[10m])) > 0",
            hold="0s",
            severity="warning",
            summary="{{ $labels.instance }}: a handler of pressure events is too slow",
            about="A subscriber was more than 1024 events behind, and has missed some.",
        ),
    )


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana 9 and later import it: by node and process, pools, pressure.

    The reader chooses the data source, the job and the instances.
    """
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in _rows().items():
        panels.append(_heading(len(panels) + 1, title, top))
        for index, one in enumerate(row):
            line, column = divmod(index, _COLUMNS)
            place = {
                "h": _HEIGHT,
                "w": _WIDTH // _COLUMNS,
                "x": column * _WIDTH // _COLUMNS,
                "y": top + 1 + line * _HEIGHT,
            }
            panels.append(_panel(len(panels) + 1, one, place))
        top += 1 + -(-len(row) // _COLUMNS) * _HEIGHT
    return {
        "title": "numapool",
        "uid": "numapool",
        "tags": ["numapool", "numa", "memory"],
        "schemaVersion": 37,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": panels,
    }


def queries() -> dict[str, tuple[str, ...]]:
    """Return the expressions of each panel by its title, with Grafana's variables in them."""
    return {
        one.title: tuple(expression for expression, _ in one.queries)
        for row in _rows().values()
        for one in row
    }


def rules() -> str:
    """Return alert rules as Prometheus reads them (YAML)."""
    lines = ["groups:", "  - name: numapool", "    rules:"]
    for one in _rules():
        lines += [
            f"      - alert: {one.name}",
            f"        expr: {json.dumps(one.expression)}",
            f"        for: {one.hold}",
            "        labels:",
            f"          severity: {one.severity}",
            "        annotations:",
            f"          summary: {json.dumps(one.summary)}",
            f"          description: {json.dumps(one.about)}",
        ]
    return "\n".join(lines) + "\n"


def _heading(number: int, title: str, top: int) -> dict[str, Any]:
    place = {"h": 1, "w": _WIDTH, "x": 0, "y": top}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place,
            "panels": []}  # fmt: skip


def _panel(number: int, one: _Panel, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": one.unit, "min": 0}
    if one.most is not None:
        defaults["max"] = one.most
    if one.kind == "timeseries":
        defaults["custom"] = {
            "fillOpacity": 20 if one.stacked else 5,
            "stacking": {"mode": "normal" if one.stacked else "none"},
        }
    return {
        "id": number,
        "type": one.kind,
        "title": one.title,
        "description": one.about,
        "gridPos": place,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "expr": expression,
                "legendFormat": legend,
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
            }
            for index, (expression, legend) in enumerate(one.queries)
        ],
    }


def _variables() -> list[dict[str, Any]]:
    build = INSTRUMENTS["build"].name + "_info"
    found: list[dict[str, Any]] = [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    ]
    for name, query in (
        ("job", f"label_values({build}, job)"),
        ("instance", f'label_values({build}{{job=~"$job"}}, instance)'),
    ):
        found.append(
            {
                "name": name,
                "type": "query",
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "query": {"query": query, "refId": name},
                "refresh": 2,
                "multi": True,
                "includeAll": True,
                "allValue": ".*",
                "current": {"text": "All", "value": "$__all"},
            }
        )
    return found

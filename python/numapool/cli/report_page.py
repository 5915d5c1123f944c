"""The page of ``numapool report``: sections from what other commands show, and a style sheet."""

from __future__ import annotations

import contextlib
import platform
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from numapool._core import __version__
from numapool.base import html
from numapool.base.errors import NumapoolError
from numapool.base.units import ids_text, size_text
from numapool.cli.failure import one_line

if TYPE_CHECKING:
    from numapool.bench import BenchReport
    from numapool.machine.topology import NumaTopology

_MOST_PROCESSES = 20

# The picture is drawn on white; in the dark its lightness is turned round, and hues stay.
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.45 system-ui, "Segoe UI", Roboto, sans-serif; margin: 0 auto; padding: 1em;
  max-width: 68em; color: #1f2328; background: #fff; }
h1 { font-size: 1.5em; margin: .2em 0; }
h2 { font-size: 1.15em; margin: 1.6em 0 .4em; border-bottom: 1px solid rgba(127,127,127,.45); }
nav a { margin-right: 1em; white-space: nowrap; color: inherit; }
.picture { overflow-x: auto; }
.picture svg { max-width: 100%; height: auto; }
@media (max-width: 46em) {
  body { font-size: 15px; padding: .6em; }
  .picture svg { max-width: max(100%, var(--legible)); }
}
@media (prefers-color-scheme: dark) {
  body { color: #e6edf3; background: #0d1117; }
  .picture svg { filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen; }
}
@media print {
  body { color: #000; background: #fff; max-width: none; font-size: 10pt; }
  .picture svg { filter: none; mix-blend-mode: normal; max-width: 100%; }
  nav { display: none; }
  section { break-inside: auto; }
  h2 { break-after: avoid; }
  tr, .picture { break-inside: avoid; }
  .numapool div { overflow: visible !important; }
}
"""


def page(measured: BenchReport | None) -> str:
    """Return the whole report; a section that cannot be made says why."""
    sections: dict[str, tuple[str, Callable[[], object]]] = {
        "machine": ("The machine", _machine),
        "allows": ("What it allows", _allows),
        "pressure": ("Memory now", _pressure),
    }
    if measured is not None:
        found = measured
        sections["bench"] = ("What memory costs", lambda: html.Html(found._repr_html_()))
    sections["processes"] = ("Processes", _processes)
    sections["pools"] = ("Pools", _pools)
    links = html.join(
        html.Html(f'<a href="#{name}">{html.escaped(title)}</a> ')
        for name, (title, _) in sections.items()
    )
    body = html.join(
        html.Html(
            f'<section id="{name}"><h2>{html.escaped(title)}</h2>{html.escaped(_made(make))}'
            "</section>"
        )
        for name, (title, make) in sections.items()
    )
    when = time.strftime("%Y-%m-%d %H:%M %Z")
    about = f"{when}; numapool {__version__}; {platform.system()} {platform.release()}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>Memory and nodes of a machine</title>\n"
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>Memory and nodes of a machine</h1>\n"
        f"<p>{html.note(about)}</p>\n<nav>{links}</nav>\n{body}\n</body></html>\n"
    )


def _made(make: Callable[[], object]) -> object:
    try:
        return make()
    except (NumapoolError, OSError, ValueError) as error:
        return html.Html(f"<p>{html.note(f'This could not be found out: {error}')}</p>")


def _machine() -> html.Html:
    from numapool.bench.run import cpu_name
    from numapool.machine.hypervisor import detect_hypervisor
    from numapool.machine.topology import NumaTopology
    from numapool.probes.machine import Machine

    topology = NumaTopology.detect()
    below = detect_hypervisor()
    pairs = [
        ("processor", cpu_name(Machine()) or "unknown"),
        ("hypervisor", below.kind or "none"),
        ("nodes that this user may use", ids_text(topology.allowed_node_ids, ", ")),
    ]
    return html.join(
        (
            html.facts(pairs),
            _picture(topology),
            html.Html(topology._repr_html_()),
            _devices(topology),
        )
    )


def _picture(topology: NumaTopology) -> html.Html:
    from numapool.picture.render import draw_topology

    with tempfile.TemporaryDirectory(prefix="numapool-") as folder:
        path = Path(folder) / "machine.svg"
        try:
            draw_topology(topology, path)
        except NumapoolError:  # no matplotlib: the tables tell the same
            return html.Html("")
        drawn = path.read_text(encoding="utf-8")
    svg = re.sub(r"<metadata>.*?</metadata>", "", drawn[drawn.index("<svg") :], flags=re.DOTALL)
    label = 'role="img" aria-label="The nodes with their memory, CPUs and devices"'
    # On a phone it keeps a width at which it can be read, and scrolls.
    legible = "0px" if topology.node_count == 1 else "34em"
    picture = svg.replace("<svg", f"<svg {label}", 1)
    return html.Html(f'<div class="picture" style="--legible:{legible}">{picture}</div>')


def _devices(topology: NumaTopology) -> html.Html:
    rows = [
        ("unknown" if one.node_id is None else one.node_id, one.kind, one.name, one.evidence)
        for one in topology.devices
    ]
    if not rows:
        return html.Html("")
    headings = ("node", "kind", "device", "evidence")
    return html.table(headings, rows, left=(0, 1, 2, 3), caption="Devices")


def _allows() -> html.Html:
    from numapool.probes.capabilities import capabilities
    from numapool.probes.capability import capabilities_html

    return html.Html(capabilities_html(capabilities()))


def _pressure() -> html.Html:
    from numapool.pressure.monitor import PressureMonitor

    with PressureMonitor() as monitor:
        while (reading := monitor.reading()) is None:  # the first look takes a millisecond or so
            time.sleep(0.001)
        level, sources = monitor.level, monitor.sources
    pairs: list[tuple[object, object]] = [("pressure", level.name)]
    if reading.available_bytes is not None and reading.total_bytes is not None:
        words = f"{size_text(reading.available_bytes)} of {size_text(reading.total_bytes)}"
        pairs.append(("available", words))
    if reading.cgroup_limit_bytes is not None and reading.cgroup_needed_bytes is not None:
        used, limit = reading.cgroup_needed_bytes, reading.cgroup_limit_bytes
        pairs.append(("cgroup", f"{size_text(used)} of {size_text(limit)}"))
    if reading.balloon_bytes is not None:
        pairs.append(("balloon", size_text(reading.balloon_bytes)))
    pairs.append(("watched", ", ".join(one.name for one in sources if one.active)))
    rows = [
        (
            node.node_id,
            html.bar(1 - node.available_bytes / node.total_bytes if node.total_bytes else 0),
            size_text(node.total_bytes),
            size_text(node.free_bytes),
            size_text(node.available_bytes),
        )
        for node in reading.nodes
    ]
    nodes = html.table(("node", "used", "memory", "free", "available"), rows, left=(0, 1))
    return html.join((html.facts(pairs), nodes))


def _processes() -> html.Html:
    from numapool.processes.inspect import ProcessPlacement, process_placement
    from numapool.processes.listing import own_processes

    found: list[ProcessPlacement] = []
    for pid in own_processes():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            found.append(process_placement(pid))
    found = sorted(found, key=lambda one: -one.resident_bytes)
    shown = [one for one in found[:_MOST_PROCESSES] if one.mappings]
    nodes = sorted({node for one in shown for node in one.bytes_by_node})
    rows = [
        (
            one.pid,
            one_line(one.name),
            *(size_text(one.bytes_by_node.get(node, 0)) for node in nodes),
            size_text(one.resident_bytes),
            ids_text(one.cpus),
            one_line(one.policy),
            "-" if one.remote_share is None else f"{one.remote_share:.0%}",
        )
        for one in shown
    ]
    headings = ("process", "program", *(f"node {node}" for node in nodes), "total", "CPUs",
                "policy", "remote")  # fmt: skip
    count = len(nodes)
    words = f"This user's processes with the most memory; {len(found)} were looked at."
    return html.join((html.table(headings, rows, left=(1, count + 3, count + 4)), html.note(words)))


def _pools() -> html.Html:
    from numapool.metrics.published_pools import published_pools
    from numapool.pools.pool import PoolCounts, PoolStatistics, statistics_html

    parts = []
    for process in published_pools():
        for pool in process["pools"]:
            counts = PoolStatistics(
                by_node={int(node): PoolCounts(**one) for node, one in pool["by_node"].items()},
                total=PoolCounts(**pool["total"]),
            )
            program = one_line(str(process["program"]))
            name = one_line(str(pool.get("name", "")))
            title = f"{name} of {program} (process {process['pid']})"
            parts.append(html.Html(statistics_html(counts, title)))
    if not parts:
        words = "No published pools. A program shows its pools by numapool.publish_pools()."
        return html.note(words)
    return html.join(parts)

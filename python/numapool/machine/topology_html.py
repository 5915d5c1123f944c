"""A machine in a notebook: its nodes, and the distances between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numapool.base import html
from numapool.base.units import cpus_text, rate_text, size_text

NumaTopology = Any  # that of topology.py, which loads this module

_MOST_COLUMNS = 64  # of distances: more are told in groups by `numapool topo`


def topology_html(topology: NumaTopology) -> str:
    """Return the machine as HTML."""
    nodes = topology.nodes
    words = f"{len(nodes)} nodes" if len(nodes) != 1 else "1 node"
    rows = [
        (
            node.node_id,
            "unknown" if node.total_memory_bytes is None else size_text(node.total_memory_bytes),
            cpus_text(node.cpu_cores),
            node.kind,
            _firmware(node.read_latency_ns, node.read_bandwidth_bytes_s),
            "yes" if node.node_id in topology.allowed_node_ids else "no",
        )
        for node in nodes
    ]
    headings = ("node", "memory", "CPUs", "kind", "read, by the firmware", "usable here")
    return html.fragment(
        html.table(headings, rows, left=(0, 2, 3, 4, 5)),
        *(_distances(topology) if 1 < len(nodes) <= _MOST_COLUMNS else ()),
        *(html.join((html.note(one), html.Html("<br>"))) for one in topology.notes),
        title=f"NUMA topology: {words}",
    )


def _firmware(latency_ns: int | None, bandwidth_bytes_s: int | None) -> str:
    parts = [
        *([] if latency_ns is None else [f"{latency_ns} ns"]),
        *([] if bandwidth_bytes_s is None else [rate_text(bandwidth_bytes_s)]),
    ]
    return ", ".join(parts) or "-"


def _distances(topology: NumaTopology) -> Iterator[html.Html]:
    matrix = topology.distance_matrix
    least, most = (how(map(how, matrix)) for how in (min, max))
    spread = max(most - least, 1)
    ids = [node.node_id for node in topology.nodes]
    rows = [
        (
            html.strong(node),
            *(html.ground(one, (one - least) / spread) for one in row),
        )
        for node, row in zip(ids, matrix, strict=True)
    ]
    assumed = ", assumed: the system gives none" if topology.distances_assumed else ""
    yield html.table(("", *ids), rows, caption=f"Distances (10 is local{assumed})")

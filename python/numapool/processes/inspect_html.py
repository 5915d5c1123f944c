"""A process in a notebook: its pages by use and node, its policy, CPUs and threads."""

from __future__ import annotations

from typing import Any

from numapool.base import html
from numapool.base.units import cpus_text, ids_text, size_text

ProcessPlacement = Any  # that of inspect.py, which loads this module

_EVIDENCE = {
    "node_loads": "counted by the processor",
    "numa_faults": "sampled by the kernel",
    "estimate": "an estimate: pages by node, weighted by CPU time",
}


def placement_html(one: ProcessPlacement) -> str:
    """Return where a process is as HTML."""
    sizes = one.bytes_by_node
    rows: list[tuple[object, ...]] = [
        (
            use,
            *(size_text(nodes[node]) if node in nodes else "-" for node in sizes),
            size_text(sum(nodes.values())),
        )
        for use, nodes in one.bytes_by_use.items()
    ]
    total = ("total", *map(size_text, sizes.values()), size_text(one.resident_bytes))
    rows.append(tuple(html.strong(cell) for cell in total))
    threads = ", ".join(f"{n} on node {node}" for node, n in one.threads_by_node.items())
    pairs: list[tuple[object, object]] = [
        ("memory policy", one.policy or "unknown"),
        ("CPUs", cpus_text(one.cpus)),
        ("memory nodes allowed", ids_text(one.memory_nodes, ", ")),
        ("threads", threads or "unknown"),
        ("mappings", one.mappings),
    ]
    if one.remote_share is not None:
        words = f"{one.remote_share:.0%}, {_EVIDENCE[one.remote_evidence]}"
        pairs.append(("remote accesses", words))
    return html.fragment(
        html.table(("", *(f"node {node}" for node in sizes), "total"), rows),
        html.facts(pairs),
        title=f"{one.name} (process {one.pid}): {size_text(one.resident_bytes)}",
    )

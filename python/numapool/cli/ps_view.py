"""The tables of ``numapool ps``: a row for each process, or one process in detail."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from numapool.cli.failure import one_line
from numapool.cli.format import cpus_text, ids_text, size_text
from numapool.cli.screen import Listing
from numapool.processes.inspect import ProcessPlacement

_MOST_CPUS = 20  # characters


def view(found: list[ProcessPlacement]) -> RenderableType:
    """Lay out processes: one in detail, several as rows."""
    if not found:
        return Text("No process that this user may look at has pages.")
    return _detail(found[0]) if len(found) == 1 else _rows(found)


def _rows(found: list[ProcessPlacement]) -> RenderableType:
    nodes = sorted({node for one in found for node in one.bytes_by_node})
    table = Listing(
        "process", "program", *(f"node {node}" for node in nodes), "total", "CPUs", "policy",
        "remote", left=(1, len(nodes) + 3, len(nodes) + 4), most={1: 16},
    )  # fmt: skip
    for one in found:
        sizes = one.bytes_by_node
        table.add_row(
            str(one.pid),
            Text(one_line(one.name)),
            *(_size(sizes.get(node, 0)) for node in nodes),
            size_text(one.resident_bytes),
            _cpus(one.cpus),
            Text(one_line(one.policy)),
            _remote(one),
        )
    notes = _notes(found)
    return Group(table, Text(notes, style="dim")) if notes else table


def _detail(one: ProcessPlacement) -> RenderableType:
    sizes = one.bytes_by_node
    title = Text.assemble(
        (one_line(one.name), "bold"), f" (process {one.pid}): {size_text(one.resident_bytes)}"
    )
    if not sizes:
        return Group(title, Text("It has no pages: it has ended, or is a thread of the kernel."))
    table = Listing("", *(f"node {node}" for node in sizes), "total")
    for use, nodes in one.bytes_by_use.items():
        cells = [_size(nodes.get(node, 0)) for node in sizes]
        table.add_row(use, *cells, size_text(sum(nodes.values())))
    totals = [size_text(size) for size in sizes.values()]
    table.add_row("total", *totals, size_text(one.resident_bytes), style="bold")
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(one):
        facts.add_row(name, Text(value))
    return Group(title, Text(), table, Text(), facts)


def _facts(one: ProcessPlacement) -> list[tuple[str, str]]:
    threads = (f"{count} on node {node}" for node, count in one.threads_by_node.items())
    facts = [
        ("memory policy", one_line(one.policy) or "unknown"),
        ("CPUs", cpus_text(one.cpus)),
        ("memory nodes allowed", ids_text(one.memory_nodes, ", ")),
        ("threads", ", ".join(threads) or "unknown"),
        ("mappings", str(one.mappings)),
    ]
    if one.cgroup_bytes_by_node is not None:
        sizes = one.cgroup_bytes_by_node.items()
        text = ", ".join(f"{size_text(size)} on node {node}" for node, size in sizes)
        facts.append(("memory of its cgroup", text))
    if one.remote_share is not None:
        how = {
            "node_loads": "counted by the processor (node-loads, node-load-misses)",
            "numa_faults": "sampled by the kernel (numa_faults)",
            "estimate": "an estimate: pages by node, weighted by CPU time",
        }[one.remote_evidence]
        facts.append(("remote accesses", f"{one.remote_share:.0%}, {how}"))
    return facts


def _size(size_bytes: int) -> str:
    return size_text(size_bytes) if size_bytes else "-"


def _cpus(cpus: tuple[int, ...]) -> str:
    text = ids_text(cpus)
    return text if len(text) <= _MOST_CPUS else f"{len(cpus)} CPUs"


def _remote(one: ProcessPlacement) -> str:
    if one.remote_share is None:
        return "-"
    return f"{'~' * (one.remote_evidence == 'estimate')}{one.remote_share:.0%}"


def _notes(found: list[ProcessPlacement]) -> str:
    if any(one.remote_evidence == "estimate" for one in found):
        return "~ is an estimate: pages by node, weighted by the CPU time of the threads there."
    return ""

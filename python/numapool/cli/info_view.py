"""What ``numapool info`` shows: the nodes of a machine, their memory, what may be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numapool import _core
from numapool.cli.distances import show_distances
from numapool.cli.format import (
    cpus_text,
    ids_text,
    printable,
    rate_text,
    size_text,
    total_text,
)
from numapool.cli.listing import Listing, Pairs, Plain
from numapool.machine.topology import NumaNode, NumaTopology
from numapool.picture.many import MOST_SINGLE, listed, range_text, without_empty

if TYPE_CHECKING:
    from numapool.cli.plain import Screen


def free_bytes(node: NumaNode) -> int | None:
    """Return the free memory of a node; None where it is unknown."""
    try:
        return node.free_memory_bytes()
    except (OSError, ValueError):  # it went offline, or a captured machine does not tell
        return None


def figure_of_the_machine(topology: NumaTopology) -> int | None:
    """Return the node whose memory is shown as the machine's, because its own figure is too small.

    The kernel may initialize memory as it is used. It counts such memory for the machine at once,
    and for the node later.
    """
    return next((one.node_id for one in topology._core.nodes() if one.memory_of_machine), None)


def _available() -> dict[str, Any] | None:
    try:
        least = _core.available()
    except OSError:
        return None
    bounds = _core.memory_bounds()
    return {
        "available_bytes": least.size_bytes,
        "limited_by": least.limit,
        "unknown_limits": {one.limit: one.unknown for one in bounds if one.size_bytes is None},
    }


def machine_dict() -> dict[str, Any]:
    """Return what can be asked of the running machine alone, as a dictionary fit for JSON."""
    return {
        "places_memory": _core.has_numa(),
        "current_node": _core.current_node(),
        "base_page_bytes": _core.base_page_bytes(),
        "transparent_page_bytes": _core.transparent_page_bytes() or None,
        "hugetlb": [
            {
                "page_bytes": pool.page_bytes,
                "reserved_pages": pool.total_pages,
                "free_pages": pool.free_pages,
            }
            for pool in _core.hugetlb_pools()
        ],
        "memory": _available(),
        "inherited_bind": list(_core.inherited_bind()) or None,
    }


_LONGEST_CELL = 24  # of the column of CPUs: three ranges or so
_MOST_NOTES = 8


def _short_cpus_text(node: NumaNode) -> str:
    text = cpus_text(node.cpu_cores)
    return text if len(text) <= _LONGEST_CELL else f"{len(node.cpu_cores)}, below"


def _show_cpus(console: Screen, nodes: Iterable[NumaNode]) -> None:
    """Print the lists of CPUs that are too long for the table, and how to read a stride."""
    lists = {node: cpus_text(node.cpu_cores) for node in nodes}
    for node, text in lists.items():
        if text != _short_cpus_text(node):
            console.print(f"CPUs of node {node.node_id}: {text}", highlight=False)
    if any(":" in text for text in lists.values()):
        console.print("CPUs 0-6:2 are 0, 2, 4 and 6.", highlight=False)


def _memory_text(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "unknown"
    return size_text(size_bytes) if size_bytes else "none"


def _show_notes(console: Screen, topology: NumaTopology) -> None:
    """Print what could not be read, or made no sense."""
    if not topology.notes:
        return
    console.print()
    console.print("[bold yellow]Not read")
    for note in topology.notes[:_MOST_NOTES]:
        console.print(Plain(printable(note)))
    if len(topology.notes) > _MOST_NOTES:
        console.print(f"and {len(topology.notes) - _MOST_NOTES} more: numapool info --json")


def _usable_text(topology: NumaTopology, node: NumaNode) -> str:
    if node.node_id in topology.default_node_ids:
        return "yes"
    if node.total_memory_bytes == 0:
        return "[dim]no memory"
    allowed = node.node_id in topology.allowed_node_ids
    return "[yellow]if named" if allowed else "[red]not allowed"


def _rows(topology: NumaTopology) -> list[list[NumaNode]]:
    """Return the nodes of each row: one, or on a machine of very many those that are alike."""
    if topology.node_count <= MOST_SINGLE:
        return [[node] for node in topology.nodes]
    rows: dict[object, list[NumaNode]] = {}
    for node in topology.nodes:
        look = replace(node, node_id=0, cpu_cores=(), kind_evidence="")
        key = (look, len(node.cpu_cores), _usable_text(topology, node))
        rows.setdefault(key, []).append(node)
    return list(rows.values())


def _nodes_table(topology: NumaTopology, rows: list[list[NumaNode]]) -> Listing:
    nodes = topology.nodes
    folded = len(rows) < len(nodes)
    with_tier = any(node.memory_tier is not None for node in nodes)
    with_latency = any(node.read_latency_ns is not None for node in nodes)
    with_bandwidth = any(node.read_bandwidth_bytes_s is not None for node in nodes)
    known = (("tier", with_tier), ("latency", with_latency), ("bandwidth", with_bandwidth))
    headings = ["node", "memory", "free", "CPUs", *(name for name, shown in known if shown)]
    # With every column 15 characters are left to the CPUs on a usual screen.
    folds = {0: 9, 2: 8, 3: 8} if folded else {3: 15}
    table = Listing(*headings, "usable", left=(3, len(headings)), folds=folds)
    for some in rows:
        node = some[0]
        count = len(node.cpu_cores)
        cells = [
            listed(one.node_id for one in some).replace(",", ", "),
            _memory_text(node.total_memory_bytes),
            "-" if node.total_memory_bytes == 0 else range_text(map(free_bytes, some)),
            _short_cpus_text(node) if len(some) == 1 or not count else f"{count} each",
        ]
        if with_tier:
            cells.append("-" if node.memory_tier is None else str(node.memory_tier))
        if with_latency:
            cells.append("-" if node.read_latency_ns is None else f"{node.read_latency_ns} ns")
        if with_bandwidth:
            bandwidth = node.read_bandwidth_bytes_s
            cells.append("-" if bandwidth is None else rate_text(bandwidth))
        table.add_row(*cells, _usable_text(topology, node))
    return table


def _show_kinds(console: Screen, topology: NumaTopology) -> None:
    """Print which memory is not that of a node with CPUs, and how that is known."""
    special: dict[tuple[str, str], list[int]] = {}
    for node in topology.nodes:
        if node.total_memory_bytes != 0 and node.kind != "dram":
            special.setdefault((node.kind, node.kind_evidence), []).append(node.node_id)
    if special:
        grid = Pairs()
        for (kind, evidence), nodes in special.items():
            grid.add_row(ids_text(nodes, ", "), kind, printable(evidence))
        console.print()
        console.print("[bold]Kinds of memory")
        console.print(grid)
    usable = set(topology._core.usable())
    if left_out := usable.difference(topology.default_node_ids):
        where = f"node{'' if len(left_out) == 1 else 's'} {ids_text(left_out, ', ')}"
        console.print(f"Memory of {where} is used only if you name it.", highlight=False)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def show_topology(console: Screen, topology: NumaTopology) -> None:
    """Print the nodes, and the distances where there are several."""
    count = topology.node_count
    cpus = {cpu for node in topology.nodes for cpu in node.cpu_cores}
    allowed = topology.allowed_node_ids
    kind = "NUMA" if topology.multi_node else "Not NUMA"
    if count > 1 and not topology.multi_node:
        kind += " for this process"
    console.print(
        f"[bold]{kind}[/bold]: {_count(count, 'node')}, {_count(len(cpus), 'CPU')}, "
        f"{total_text(node.total_memory_bytes for node in topology.nodes)} of memory",
        highlight=False,
    )
    where = f"node{'' if len(allowed) == 1 else 's'} {ids_text(allowed, ', ')}"
    console.print(
        f"This process may use memory of {where if allowed else 'no node'}.", highlight=False
    )
    completed = figure_of_the_machine(topology)
    if completed is not None:
        console.print(
            f"Memory of node {completed}: the machine's (/proc/meminfo), because the kernel has "
            "not initialized all of the node's yet.",
            highlight=False,
        )
    console.print()
    topology, left_out = without_empty(topology)
    rows = _rows(topology)
    console.print(_nodes_table(topology, rows))
    if left_out:
        console.print(f"{left_out}.", highlight=False)
    if len(rows) < topology.node_count:
        console.print(
            "Nodes that are alike share a row; numapool info --json has each.", highlight=False
        )
    _show_cpus(console, (some[0] for some in rows if len(some) == 1))
    _show_kinds(console, topology)
    if topology.node_count > 1:
        console.print()
        show_distances(console, topology)
    _show_notes(console, topology)


def _hugetlb_text(pool: dict[str, int]) -> str:
    reserved = (
        f"{pool['free_pages']} of {pool['reserved_pages']} reserved are free"
        if pool["reserved_pages"]
        else "none reserved"
    )
    limits = [
        (one.size_bytes, one.limit)
        for one in _core.hugetlb_bounds(pool["page_bytes"])
        if one.size_bytes is not None
    ]
    if limits:
        size, limit = min(limits)
        reserved += f", {size // pool['page_bytes']} may still be used ({limit})"
    return f"{size_text(pool['page_bytes'])}: {reserved}"


def show_machine(console: Screen) -> None:
    """Print what is true of this process alone."""
    machine = machine_dict()
    memory, transparent = machine["memory"], machine["transparent_page_bytes"]
    facts = []
    if memory is not None:
        size = size_text(memory["available_bytes"])
        facts.append(("available memory", f"{size}, limited by {memory['limited_by']}"))
        for limit, why in memory["unknown_limits"].items():
            facts.append(("unknown limits", f"{limit} ({why})"))
    if machine["inherited_bind"]:
        where = ids_text(machine["inherited_bind"], ", ")
        facts.append(
            ("memory policy", f"bound to node {where} by the program that started this process")
        )
    facts.append(("base pages", size_text(machine["base_page_bytes"])))
    facts.append(("transparent huge pages", size_text(transparent) if transparent else "off"))
    for pool in machine["hugetlb"]:
        facts.append(("hugetlb pages", _hugetlb_text(pool)))
    if not machine["hugetlb"]:
        facts.append(("hugetlb pages", "not in this kernel"))
    grid = Pairs()
    before = ""
    for name, value in facts:
        grid.add_row("" if name == before else name, value)
        before = name
    console.print()
    console.print("[bold]This process, now")
    console.print(grid)
    if not machine["places_memory"]:
        console.print("[yellow]This system does not place memory by node.")


def document_of(topology: NumaTopology, *, live: bool) -> dict[str, Any]:
    """Return what ``--json`` prints; `live`: of this machine, not of a recorded one."""
    completed = figure_of_the_machine(topology)
    document: dict[str, Any] = {"version": _core.__version__, **topology.to_dict()}
    for node, one in zip(topology.nodes, document["nodes"], strict=True):
        one["free_memory_bytes"] = free_bytes(node)
        one["memory_figure"] = "machine" if node.node_id == completed else "node"
    if live:
        document["machine"] = machine_dict()
    return document


def show(console: Screen, topology: NumaTopology, *, live: bool) -> None:
    """Print all that ``numapool info`` shows."""
    show_topology(console, topology)
    if live:
        show_machine(console)

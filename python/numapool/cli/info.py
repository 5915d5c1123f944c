"""``numapool info``: the nodes of a machine, their memory and distances, and what may be used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from numapool import __version__, _core
from numapool.cli.format import ids_text, rate_text, size_text
from numapool.topology import NumaNode, NumaTopology

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def _free_bytes(node: NumaNode) -> int | None:
    try:
        return node.free_memory_bytes()
    except (OSError, ValueError):  # it went offline, or a captured machine does not tell
        return None


def _available() -> dict[str, Any] | None:
    try:
        size, limit = _core.available()
    except OSError:
        return None
    return {"available_bytes": size, "limited_by": limit}


def machine_dict() -> dict[str, Any]:
    """Return what can be asked of the running machine alone, as a dictionary fit for JSON."""
    return {
        "places_memory": _core.has_numa(),
        "current_node": _core.current_node(),
        "base_page_bytes": _core.base_page_bytes(),
        "transparent_page_bytes": _core.transparent_page_bytes() or None,
        "hugetlb": [
            {"page_bytes": size, "reserved_pages": total, "free_pages": free}
            for size, total, free in _core.hugetlb_pools()
        ],
        "memory": _available(),
    }


def _nodes_table(topology: NumaTopology) -> Table:
    from rich.table import Table

    nodes = topology.nodes
    table = Table(title="Nodes", title_justify="left")
    table.add_column("node", justify="right")
    table.add_column("memory", justify="right")
    table.add_column("free", justify="right")
    table.add_column("CPUs", overflow="fold")
    with_tier = any(node.memory_tier is not None for node in nodes)
    with_latency = any(node.read_latency_ns is not None for node in nodes)
    with_bandwidth = any(node.read_bandwidth_bytes_s is not None for node in nodes)
    for heading, shown in (
        ("tier", with_tier),
        ("latency", with_latency),
        ("bandwidth", with_bandwidth),
    ):
        if shown:
            table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("usable")
    usable = {node for one in nodes for node in topology.nearest(one.node_id)}
    for node in nodes:
        free = _free_bytes(node)
        cells = [
            str(node.node_id),
            size_text(node.total_memory_bytes) if node.total_memory_bytes else "none",
            "unknown" if free is None else size_text(free) if node.total_memory_bytes else "-",
            ids_text(node.cpu_cores),
        ]
        if with_tier:
            cells.append("-" if node.memory_tier is None else str(node.memory_tier))
        if with_latency:
            cells.append("-" if node.read_latency_ns is None else f"{node.read_latency_ns} ns")
        if with_bandwidth:
            bandwidth = node.read_bandwidth_bytes_s
            cells.append("-" if bandwidth is None else rate_text(bandwidth))
        if node.node_id in usable:
            cells.append("yes")
        else:
            cells.append("[dim]no memory" if not node.total_memory_bytes else "[red]not allowed")
        table.add_row(*cells)
    return table


# From near to far, readable on dark and light grounds.
_HEAT = ("black on green3", "black on khaki3", "black on sandy_brown", "black on indian_red")


def _heat(distance: int, farthest: int) -> str:
    if distance <= 10:
        return _HEAT[0]
    span = max(farthest - 10, 1)
    return _HEAT[min(1 + (distance - 11) * 3 // span, 3)]


def _distance_table(topology: NumaTopology) -> Table:
    from rich.table import Table
    from rich.text import Text

    matrix = topology.distance_matrix
    farthest = max(max(row) for row in matrix)
    table = Table()
    table.add_column("", justify="right")
    for node in topology.nodes:
        table.add_column(str(node.node_id), justify="right")
    for node, row in zip(topology.nodes, matrix, strict=True):
        cells = [Text(f"{one:>3}", style=_heat(one, farthest)) for one in row]
        table.add_row(str(node.node_id), *cells)
    return table


def show_topology(console: Console, topology: NumaTopology) -> None:
    """Print the nodes, and the distances where there are several."""
    count = topology.node_count
    console.print(
        f"[bold]{'NUMA' if topology.is_numa else 'Not NUMA'}[/bold]: "
        f"{count} node{'' if count == 1 else 's'}, "
        f"{sum(len(node.cpu_cores) for node in topology.nodes)} CPUs, "
        f"{size_text(sum(node.total_memory_bytes for node in topology.nodes))}; this process may "
        f"use memory of node{'' if len(topology.allowed_node_ids) == 1 else 's'} "
        f"{ids_text(topology.allowed_node_ids)}",
        highlight=False,
    )
    console.print(_nodes_table(topology))
    if count > 1:
        assumed = ": assumed, the system gives none" if topology.distances_assumed else ""
        console.print(f"[italic]Distances, row to column (10 is local){assumed}")
        console.print(_distance_table(topology))


def _show_machine(console: Console) -> None:
    machine = machine_dict()
    memory = machine["memory"]
    if memory is not None:
        console.print(
            f"This process may take {size_text(memory['available_bytes'])} more, limited by "
            f"{memory['limited_by']}.",
            highlight=False,
        )
    transparent = machine["transparent_page_bytes"]
    reserved = [
        f"{size_text(pool['page_bytes'])} ({pool['free_pages']} of {pool['reserved_pages']} "
        "reserved are free)"
        if pool["reserved_pages"]
        else f"{size_text(pool['page_bytes'])} (none reserved)"
        for pool in machine["hugetlb"]
    ]
    console.print(
        f"Pages: base {size_text(machine['base_page_bytes'])}, transparent huge "
        f"{size_text(transparent) if transparent else 'off'}, hugetlb "
        f"{', '.join(reserved) or 'not in this kernel'}.",
        highlight=False,
    )
    if not machine["places_memory"]:
        console.print("[yellow]This system does not place memory by node.")


def info(
    sysfs: Annotated[
        Path | None,
        typer.Option(help="Another machine, captured: the folder that holds its sys and proc."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show the NUMA nodes: CPUs, memory, distances, and what this process may use."""
    topology = NumaTopology.detect() if sysfs is None else NumaTopology.from_sysfs(sysfs)
    if as_json:
        document: dict[str, Any] = {"version": __version__, **topology.to_dict()}
        for node, one in zip(topology.nodes, document["nodes"], strict=True):
            one["free_memory_bytes"] = _free_bytes(node)
        if sysfs is None:
            document["machine"] = machine_dict()
        json.dump(document, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    from rich.console import Console

    console = Console()
    show_topology(console, topology)
    if sysfs is None:
        _show_machine(console)

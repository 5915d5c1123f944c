"""``numapool demo``: put memory on every node of this machine, and prove where it went."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from numapool._core import __version__
from numapool.base.errors import NumapoolError
from numapool.cli.options import AsJson
from numapool.memory.allocator import NumaAllocator

if TYPE_CHECKING:
    from rich.console import Console

MIB = 1 << 20
ROW = 1024  # uint64 values in the pattern: 8 KiB


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeResult:
    """What happened on one node; `error` is None if it gave memory."""

    node_id: int
    size_bytes: int
    step: str | None = None
    bytes_by_node: dict[int, int] | None = None
    page_size_bytes: int | None = None
    method: str | None = None
    allocate_s: float | None = None
    zero_copy: bool = False
    sum_is_right: bool = False
    error: str | None = None


def use_node(allocator: NumaAllocator, node_id: int, size_bytes: int) -> NodeResult:
    """Allocate on one node, fill the memory through NumPy without a copy, and check the sum.

    Parameters
    ----------
    allocator : NumaAllocator
    node_id : int
    size_bytes : int
        A multiple of 8 KiB.
    """
    import numpy as np

    begin = time.perf_counter()
    try:
        buffer = allocator.allocate(size_bytes, node_id)
    except (NumapoolError, MemoryError, OSError) as error:
        return NodeResult(node_id=node_id, size_bytes=size_bytes, error=str(error))
    allocate_s = time.perf_counter() - begin
    with buffer:
        rows = np.frombuffer(memoryview(buffer), np.uint64).reshape(-1, ROW)
        rows[:] = np.arange(ROW, dtype=np.uint64)
        placement = buffer.placement()
        return NodeResult(
            node_id=node_id,
            size_bytes=size_bytes,
            step=buffer.step.name,
            bytes_by_node=placement.bytes_by_node,
            page_size_bytes=placement.page_size_bytes,
            method=placement.method,
            allocate_s=allocate_s,
            zero_copy=rows.__array_interface__["data"][0] == buffer.address,
            sum_is_right=int(rows.sum()) == len(rows) * (ROW * (ROW - 1) // 2),
        )


def _show(console: Console, results: list[NodeResult]) -> None:
    from rich.text import Text

    from numapool.cli.format import size_text
    from numapool.cli.screen import Listing

    size = size_text(results[0].size_bytes) if results else "nothing"
    console.print()
    console.print(f"[bold]One buffer of {size} on each node", highlight=False)
    headings = ("node", "step", "pages on", "page size", "copied", "sum", "time")
    table = Listing(*headings, left=range(1, 6), folds={1: 9, 2: 16})
    for one in results:
        if one.error is not None:
            table.add_row(str(one.node_id), "[red]failed, see below")
            continue
        held = one.bytes_by_node or {}
        where = ", ".join(f"{node}: {size_text(held[node])}" for node in held)
        table.add_row(
            str(one.node_id),
            str(one.step),
            f"{next(iter(held))} only" if len(held) == 1 else where or "unknown",
            size_text(one.page_size_bytes or 0),
            "no" if one.zero_copy else "[red]yes",
            "right" if one.sum_is_right else "[red]wrong",
            f"{(one.allocate_s or 0) * 1e3:.1f} ms",
        )
    console.print(table)
    for one in results:
        if one.error is not None:
            console.print(Text(f"node {one.node_id}: {one.error}", style="red"))


def demo(
    size_mib: Annotated[
        int, typer.Option("--size", min=1, help="MiB to allocate on each node.")
    ] = 256,
    as_json: AsJson = False,
) -> None:
    """Allocate on every node, fill through NumPy without a copy, and show where the pages are."""
    allocator = NumaAllocator()
    topology = allocator.topology
    results = [use_node(allocator, one, size_mib * MIB) for one in topology.default_node_ids]
    failed = [one for one in results if one.error or not (one.zero_copy and one.sum_is_right)]
    if as_json:
        nodes = [asdict(one) for one in results]
        typer.echo(
            json.dumps({"version": __version__, "topology": topology.to_dict(), "nodes": nodes})
        )
    else:
        from numapool.cli.info_view import show_topology
        from numapool.cli.screen import make_console

        console = make_console()
        show_topology(console, topology)
        _show(console, results)
    if failed:
        raise typer.Exit(1)

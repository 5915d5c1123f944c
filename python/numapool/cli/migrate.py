"""``numapool migrate``: moves the pages of a running process to other nodes, and proves it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from numapool.cli.failure import one_line, say_failure
from numapool.cli.format import ids_text, size_text
from numapool.cli.options import AsJson, named_by
from numapool.processes.migrate import ProcessMigration, migrate_process

if TYPE_CHECKING:
    from rich.console import Console

_WHY = {
    "shared": "in mappings of which other processes have pages too",
    "huge": "hugetlb pages, of which the target has none free",
    "full": "the target has no room",
    "busy": "in use by the kernel or a device, or new since",
}


@contextlib.contextmanager
def _bar(console: Console) -> Iterator[Callable[[int, int], object] | None]:
    """Show progress on a terminal."""
    from numapool.cli.screen import can_draw_over

    if not can_draw_over(console):
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(TextColumn("moving"), BarColumn(), TextColumn("{task.percentage:.0f}%"),
                  console=console, transient=True) as progress:  # fmt: skip
        task = progress.add_task("moving")
        yield lambda moved, needed: progress.update(task, completed=moved, total=needed or 1)


def _show(console: Console, done: ProcessMigration) -> None:
    from rich.text import Text

    from numapool.cli.screen import Listing

    sources = ids_text(done.from_nodes, ", ") if done.from_nodes else "no other node"
    console.print(
        Text(
            f"{one_line(done.after.name)} (process {done.pid}): moved "
            f"{size_text(done.moved_bytes)} from {sources} to {ids_text(done.to_nodes, ', ')} in "
            f"{done.elapsed_s:.2f} s"
        )
    )
    console.print()
    before, after = done.before.bytes_by_node, done.after.bytes_by_node
    table = Listing("node", "before", "now")
    for node in sorted({*before, *after}):
        table.add_row(str(node), size_text(before.get(node, 0)), size_text(after.get(node, 0)))
    console.print(table)
    for reason, size in done.kept_bytes.items():
        console.print(Text(f"{size_text(size)} stayed: {_WHY[reason]}"))


def migrate(
    pid: Annotated[int, typer.Argument(metavar="PID", min=1, help="The process.")],
    to: Annotated[
        str, typer.Option("--to", metavar="NODES", help="To these nodes: 1, 0-1,3, socket:0, all.")
    ],
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="NODES", help="From these; by default from all others."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Move the pages of a running process to nodes, and show where they are then.

    Its CPUs and its memory policy stay as they are.
    """
    from numapool.cli.screen import make_console

    sources, targets = named_by("--from", source), named_by("--to", to)
    try:
        with _bar(make_console(stderr=True)) as progress:
            done = migrate_process(pid, sources, targets or [], progress=progress)
    except (ProcessLookupError, PermissionError) as error:
        say_failure(str(error.strerror or error))
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(done.to_dict(), indent=2))
    else:
        _show(make_console(), done)

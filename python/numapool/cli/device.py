"""``numapool device``: the walk from a path to its hardware and node, as a short tree."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from numapool._core import __version__
from numapool.base.errors import NumapoolError
from numapool.cli.failure import one_line, say_failure
from numapool.cli.format import ids_text
from numapool.cli.options import AsJson, Sysfs, machine_of
from numapool.machine.device_search import DeviceLocality, DeviceStep, device_locality
from numapool.machine.topology import NumaTopology

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def _verdict(locality: DeviceLocality) -> str:
    """Say the node in a few words; of several, all and the nearest."""
    if locality.node_id is None:
        return "node unknown"
    if len(locality.node_ids) > 1:
        return f"nodes {ids_text(locality.node_ids, ', ')}; nearest to all: node {locality.node_id}"
    if locality.reason is not None:
        return f"node {locality.node_id}, partly unknown"
    return f"node {locality.node_id}"


def _note(step: DeviceStep) -> str | None:
    """Return evidence that deserves its own line: a device's own numa_node file does not."""
    if step.note is None or step.note == f"{step.path}/numa_node":
        return None
    return one_line(step.note)


def _label(step: DeviceStep) -> Text:
    from rich.text import Text

    label = Text.assemble((one_line(step.kind), "dim"), " ", (one_line(step.name), "bold"))
    if step.node_id is not None:
        label.append(f"  node {step.node_id}", style="green")
    if (note := _note(step)) is not None:
        label.append(f"\n{note}")
    return label


def _show(console: Console, locality: DeviceLocality) -> None:
    """Print the verdict, and below it the steps as a tree; the first may be the path itself."""
    from rich.text import Text
    from rich.tree import Tree

    style = "bold yellow" if locality.node_id is None else "bold green"
    head = Text.assemble((one_line(locality.path), "bold"), "  ", (_verdict(locality), style))
    if not locality.steps:  # a system that tells nothing
        console.print(head.append(f"\n{one_line(locality.reason or '')}"), highlight=False)
        return
    first, *others = locality.steps
    if first.name == locality.path:
        head = Text.assemble((f"{one_line(first.kind)} ", "dim"), head)
        if (note := _note(first)) is not None:
            head.append(f"\n{note}")
    else:
        others = [first, *others]
    tree = Tree(head, guide_style="dim")
    # By depth, with the head where the first step is.
    branches = [tree] if first.name == locality.path else []
    for step in others:
        del branches[step.depth :]
        parent = branches[-1] if branches else tree
        branches.append(parent.add(_label(step)))
    console.print(tree, highlight=False)


def _find(path: str, topology: NumaTopology) -> DeviceLocality | str:
    """Return the device's place, or the error's text."""
    try:
        return device_locality(path, topology)
    except (OSError, ValueError, NumapoolError) as error:
        return str(error)


def device(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Files, folders, device files; PCI addresses; network interfaces.",
        ),
    ],
    sysfs: Sysfs = None,
    as_json: AsJson = False,
) -> None:
    """Show the hardware behind a path, and the node it is on.

    The exit status is 1 if a path does not exist. An unknown node is not an error.
    """
    topology = machine_of(sysfs)
    found = {path: _find(path, topology) for path in paths}
    failures = {path: one for path, one in found.items() if isinstance(one, str)}
    if as_json:
        devices: list[dict[str, Any]] = [
            {"path": path, "error": one} if isinstance(one, str) else one.to_dict()
            for path, one in found.items()
        ]
        typer.echo(json.dumps({"version": __version__, "devices": devices}, indent=2))
    else:
        from numapool.cli.screen import make_console

        console = make_console()
        for one in found.values():
            if isinstance(one, DeviceLocality):
                _show(console, one)
    if failures:
        for one in failures.values():
            say_failure(one)
        raise typer.Exit(1)

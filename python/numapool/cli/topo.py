"""``numapool topo``: the machine as a drawing, on the screen or in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from numapool._core import __version__
from numapool.cli.options import AsJson, Sysfs, machine_of
from numapool.machine.topology import NumaTopology


def _plot_file(path: Path | None) -> Path | None:
    if path is not None:
        from numapool.picture.render import check_format

        try:
            check_format(path)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return path


def _document(topology: NumaTopology, plot: Path | None) -> dict[str, Any]:
    """Return the topology with its devices, as a dictionary fit for JSON."""
    document: dict[str, Any] = {"version": __version__, **topology.to_dict()}
    for node, one in zip(topology.nodes, document["nodes"], strict=True):
        one["devices"] = [device.to_dict() for device in node.local_devices]
    document["devices_of_unknown_node"] = [
        device.to_dict() for device in topology.devices if device.node_id is None
    ]
    document["plot"] = None if plot is None else str(plot)
    return document


def topo(
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", callback=_plot_file, help="Draw it into a file, FILE.svg or FILE.png."
        ),
    ] = None,
    sysfs: Sysfs = None,
    as_json: AsJson = False,
) -> None:
    """Draw the machine: nodes with memory, CPUs and devices, and the distances between them.

    A drawing in a file needs matplotlib: pip install 'numapool[plot]'.
    """
    topology = machine_of(sysfs)
    if plot is not None:
        from numapool.picture.render import draw_topology

        draw_topology(topology, plot)
    if as_json:
        typer.echo(json.dumps(_document(topology, plot), indent=2))
    elif plot is None:
        from numapool.cli.screen import make_console
        from numapool.cli.topo_view import show

        show(make_console(), topology)
    else:
        typer.echo(f"wrote {plot}")

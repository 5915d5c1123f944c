"""``numapool info``: the nodes of a machine, their memory and distances, and what may be used."""

from __future__ import annotations

import json

import typer

from numapool.cli.info_view import document_of, show
from numapool.cli.options import AsJson, Sysfs, machine_of


def info(
    sysfs: Sysfs = None,
    as_json: AsJson = False,
) -> None:
    """Show the NUMA nodes: CPUs, memory, distances, and what this process may use."""
    topology = machine_of(sysfs)
    if as_json:
        typer.echo(json.dumps(document_of(topology, live=sysfs is None), indent=2))
        return
    from numapool.cli.screen import make_console

    show(make_console(), topology, live=sysfs is None)

"""The typer application that the commands belong to."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from numapool._core import __version__
from numapool.cli.bench import bench
from numapool.cli.capture import capture
from numapool.cli.demo import demo
from numapool.cli.device import device
from numapool.cli.doctor import doctor
from numapool.cli.info import info
from numapool.cli.metrics import metrics
from numapool.cli.migrate import migrate
from numapool.cli.ps import ps
from numapool.cli.report import report
from numapool.cli.run import start
from numapool.cli.run_completion import UntilTheProgram, signature
from numapool.cli.topo import topo
from numapool.cli.watch import watch

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help takes half the time, and shows a flag as one
    help="Memory on the NUMA node you name.",
)
app.command(short_help="Show the nodes: CPUs, memory, distances, page sizes.")(info)
app.command(short_help="Draw the machine: nodes, CPUs, memory, devices, distances.")(topo)
app.command(short_help="Show what numapool can use here, and what to do about the rest.")(doctor)
app.command(short_help="Show which node a file, disk, network card or GPU is on.")(device)
app.command(short_help="Put memory on every node, and show where it is.")(demo)
app.command(short_help="Show memory pressure, live.")(watch)
app.command(short_help="Measure memory from node to node, and what numapool gains.")(bench)

app.command(short_help="Show where processes are: pages by node, policy, CPUs.")(ps)
app.command(short_help="Move the pages of a running process to other nodes.")(migrate)

app.command(short_help="Print metrics, a Grafana dashboard, or Prometheus alert rules.")(metrics)
app.command(short_help="Write a report in one file of HTML.")(report)
app.command(short_help="Record this machine in a file, for a bug report.")(capture)


def run(**options: object) -> None:
    """Start what command.py starts by itself: here are the help and the options to complete."""
    raise typer.Exit(start(sys.argv[sys.argv.index("run") + 1 :]))


run.__signature__ = signature()  # type: ignore[attr-defined]
app.command(
    cls=UntilTheProgram,
    short_help="Start a program on the CPUs and the memory of nodes.",
    add_help_option=False,
    context_settings={
        "allow_extra_args": True,
        "allow_interspersed_args": False,  # options after the program are the program's
        "ignore_unknown_options": True,
    },
)(run)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"numapool {__version__} (Python {sys.version.split()[0]})")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Memory on the NUMA node you name."""

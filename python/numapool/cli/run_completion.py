"""What shells complete of ``numapool run``, whose options are read by hand elsewhere."""

from __future__ import annotations

import inspect
from typing import Any

import typer
from typer.core import TyperCommand

from numapool.cli.run_options import OPTIONS
from numapool.processes import binder


class UntilTheProgram(TyperCommand):
    """A command of which nothing is completed once a program is named: its words are its own."""

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return what may follow."""
        return [] if ctx.args else super().shell_complete(ctx, incomplete)


def signature() -> inspect.Signature:
    """Return the parameters of a function that has the options, as typer reads them."""
    parameters = [
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    ]
    for name, takes, text in OPTIONS:
        option = typer.Option(
            None if takes else False,
            name,
            metavar=takes or None,
            help=text,
            autocompletion=_nodes if takes == "NODES" else None,
        )
        parameters.append(
            inspect.Parameter(
                name.lstrip("-").replace("-", "_"),
                inspect.Parameter.KEYWORD_ONLY,
                default=option,
                annotation=str if takes else bool,
            )
        )
    return inspect.Signature(parameters)


def _nodes(incomplete: str) -> list[str]:
    """Return the lists of nodes that go on from a text: ``0,`` and each node."""
    before, comma, _ = incomplete.rpartition(",")
    ids: list[Any] = [node.node_id for node in binder.nodes()]
    found = [f"{before}{comma}{one}" for one in (ids if comma else [*ids, "all"])]
    return [one for one in found if one.startswith(incomplete)]

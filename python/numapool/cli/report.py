"""``numapool report``: the machine, what it allows, processes and pools, in one file of HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from numapool.bench import BenchReport


def _html_file(path: Path) -> Path:
    if path.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"{path}: reports are made as .html")
    if not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"{path.absolute().parent} is not a folder")
    return path


def report(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.html", callback=_html_file, help="The file to write.")
    ],
    bench: Annotated[
        bool, typer.Option("--bench", help="Measure too: every CPU is busy for 20 s.")
    ] = False,
    load: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Show a result that 'numapool bench --json' has saved.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a report in one file: the machine, what it allows, pressure, processes, pools.

    The file needs no server and no network, and can be read on a phone, in the dark and on paper.
    Host names and addresses are not in it; names of programs are.
    """
    if bench and load is not None:
        raise typer.BadParameter("one of --bench and --load")
    measured = _measured(bench, load)
    from numapool.cli.report_page import page

    file.write_text(page(measured), encoding="utf-8")
    typer.echo(f"wrote {file}")


def _measured(bench: bool, load: Path | None) -> BenchReport | None:
    if not bench and load is None:
        return None
    from numapool.bench import BenchOptions, load_report
    from numapool.cli.bench import measure
    from numapool.cli.failure import say_failure

    if load is None:
        return measure(BenchOptions(quick=True))
    try:
        return load_report(load)
    except ValueError as error:
        say_failure(str(error))
        raise typer.Exit(1) from None

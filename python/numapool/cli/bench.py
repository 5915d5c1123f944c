"""``numapool bench``: measure what memory costs here, show it, draw it, compare it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from numapool.cli.failure import one_line, say_failure
from numapool.cli.options import AsJson

if TYPE_CHECKING:
    from numapool.bench import BenchOptions, BenchReport
    from numapool.bench.clock import Progress

_MIB = 1 << 20


@contextlib.contextmanager
def _progress() -> Iterator[Progress | None]:
    """Show the current measurement and the time left, if standard error is a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn

    from numapool.cli.screen import make_console

    console = make_console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[left]:>6} left"),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("placing memory", total=1.0, left="")

        def show(what: str, share: float, left_s: float) -> None:
            minutes, seconds = divmod(round(left_s), 60)
            left = f"{minutes}:{seconds:02}"
            bar.update(task, description=one_line(what), completed=share, left=left)

        yield show


def measure(options: BenchOptions) -> BenchReport:
    """Measure this machine, and show how far it has come where there is a screen."""
    from numapool.bench import run

    with _progress() as progress:
        return run(options, progress)


def _check_plot(plot: Path) -> None:
    """Find out before measuring whether there can be a picture."""
    from numapool.cli.bench_plot import require_matplotlib

    if plot.suffix.lower() not in (".png", ".svg"):
        raise typer.BadParameter(
            f"{plot}: pictures are made as .png or .svg", param_hint="'--plot'"
        )
    if not plot.parent.is_dir():
        raise typer.BadParameter(f"{plot.parent} is not a folder", param_hint="'--plot'")
    require_matplotlib()


def _print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2))


def _compare(paths: tuple[Path, Path], as_json: bool) -> None:
    from numapool.bench import compare, load_report

    comparison = compare(load_report(paths[0]), load_report(paths[1]))
    if as_json:
        _print_json(comparison.to_dict())
        return
    from numapool.cli.bench_compare import show_comparison
    from numapool.cli.screen import make_console

    show_comparison(make_console(), comparison, (str(paths[0]), str(paths[1])))


def _sections(only: list[str] | None, paths: list[str]) -> tuple[str, ...]:
    from numapool.bench import SECTIONS

    wanted = tuple(only) if only else SECTIONS
    unknown = [name for name in wanted if name not in SECTIONS]
    if unknown:
        raise typer.BadParameter(
            f"{unknown[0]!r}; there are {', '.join(SECTIONS)}", param_hint="'--only'"
        )
    if only and "device" in only and not paths:
        raise typer.BadParameter("device needs a file or a device", param_hint="'--only'")
    if only and paths and "device" not in only:
        wanted = (*wanted, "device")
    return wanted


def bench(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="Files or block devices to read into the near and the far node.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Take less than 20 s.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SECTION",
            help="latency, bandwidth, loaded, caches, pages, reach, migration, allocators, device; "
            "may be repeated.",
            show_default=False,
        ),
    ] = None,
    size_mib: Annotated[
        int | None,
        typer.Option(
            "--size",
            min=1,
            help="MiB to measure on each node; by default several times the caches.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the result: .png or .svg.", show_default=False),
    ] = None,
    load: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Show a saved result instead of measuring.", show_default=False
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Compare two saved results.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure memory access from node to node, and what numapool gains.

    Latency and bandwidth from every node to every node, latency under load, sizes of pages,
    allocators, and devices. It uses every CPU: best on a machine that does nothing else.
    """
    if compare is not None:
        if paths or only or plot or load or quick or size_mib:
            raise typer.BadParameter("can be combined with --json only", param_hint="'--compare'")
        return _or_fail(lambda: _compare(compare, as_json))
    if load is not None and (paths or only or quick or size_mib):
        raise typer.BadParameter(
            "can be combined with --plot and --json only", param_hint="'--load'"
        )
    sections = _sections(only, paths or [])
    if plot is not None:
        _check_plot(plot)
    return _or_fail(lambda: _run(paths or [], quick, sections, size_mib, plot, load, as_json))


def _or_fail(work: Any) -> None:
    """Report wrong contents of a file in one line, as the system's errors are."""
    try:
        work()
    except ValueError as error:
        say_failure(str(error))
        raise typer.Exit(1) from None


def _run(
    paths: list[str],
    quick: bool,
    sections: tuple[str, ...],
    size_mib: int | None,
    plot: Path | None,
    load: Path | None,
    as_json: bool,
) -> None:
    from numapool.bench import BenchOptions, load_report

    if load is not None:
        report = load_report(load)
    else:
        size_bytes = None if size_mib is None else size_mib * _MIB
        report = measure(
            BenchOptions(quick=quick, size_bytes=size_bytes, sections=sections, paths=tuple(paths))
        )
    # The results first: a picture that fails must not lose them.
    if as_json:
        _print_json(report.to_dict())
    else:
        from numapool.cli.bench_view import show_report
        from numapool.cli.screen import make_console

        show_report(make_console(), report)
    if plot is not None:
        from numapool.cli.bench_plot import draw

        draw(report, plot)
        print(f"numapool: drawn to {one_line(str(plot))}", file=sys.stderr)

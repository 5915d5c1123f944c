"""The screen of ``numapool bench``: heat tables of the nodes, and a table for each question."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from numapool.base.units import ids_text, size_text
from numapool.bench.report import (
    Allocation,
    BenchReport,
    DeviceRead,
    Figure,
    LoadPoint,
    Matrix,
    PageSize,
    ReachPoint,
)
from numapool.cli.bench_text import (
    SIDES,
    TITLES,
    UNSTEADY,
    UNVERIFIED,
    digits,
    figure_text,
    range_text,
    scaled,
    shown_unit,
    time_text,
)
from numapool.cli.distances import HEAT
from numapool.cli.failure import one_line
from numapool.cli.screen import Listing

_BAR = 24


def heat(matrix: Matrix, value: float) -> str:
    """Return the style of a cell: green where it is as good as the best, red as the worst."""
    medians = [cell.figure.median for cell in matrix.cells]
    least, most = min(medians), max(medians)
    # Values within a tenth of the best count as equal: noise needs no colour.
    if most <= 1.1 * least:
        return HEAT[0]
    share = (value - least) / (most - least)
    if matrix.unit != "ns":
        share = 1 - share
    return HEAT[min(int(share * len(HEAT)), len(HEAT) - 1)]


def _heat_lines(report: BenchReport, matrix: Matrix, width: int, rule: str) -> Iterator[Text]:
    """Yield the lines of a heat table; columns that do not fit follow in further tables."""
    texts: dict[tuple[int, int], str] = {}
    for one in matrix.cells:
        texts[one.source, one.target] = figure_text(one.figure, matrix.unit, verified=one.verified)
    label = max(len(str(node)) for node in report.sources)
    cell = max(map(len, [*texts.values(), *map(str, report.targets)]))
    fit = max((width - label - len(rule)) // (cell + 2), 1)
    tables = -(-len(report.targets) // fit)
    each = -(-len(report.targets) // tables)
    for first in range(0, len(report.targets), each):
        targets = report.targets[first : first + each]
        if first:
            yield Text()
        head = Text(" " * label + rule)
        for target in targets:
            head.append(f" {target:>{cell}} ", style="bold")
        yield head
        for source in report.sources:
            line = Text()
            line.append(f"{source:>{label}}", style="bold")
            line.append(rule)
            for target in targets:
                found = matrix.cell(source, target)
                text = texts.get((source, target), "-")
                style = "dim" if found is None else heat(matrix, found.figure.median)
                line.append(f" {text:>{cell}} ", style=style)
            yield line


def _show_matrix(console: Console, report: BenchReport, matrix: Matrix) -> None:
    title = f"[bold]{TITLES.get(matrix.name, matrix.name)}[/bold], {shown_unit(matrix.unit)}"
    row, column = SIDES.get(matrix.name, ("CPUs of node", "memory of node"))
    console.print(f"{title}: {row} (row), {column} (column)", highlight=False)
    rule = " |" if console.options.ascii_only else " │"
    for line in _heat_lines(report, matrix, console.width, rule):
        if console.color_system is None:
            line.rstrip()
        console.print(line, no_wrap=True, overflow="crop", crop=False)
    console.print()


def _show_only_node(console: Console, report: BenchReport) -> None:
    """Print the 1x1 matrices as one table, with what the hardware could do."""
    table = Listing("memory of this machine", "median", "rounds from", "at most", "reached")
    limit = report.limits[0] if report.limits else None
    for matrix in report.matrices:
        for cell in matrix.cells:
            unit = matrix.unit
            most = None
            if limit is not None and matrix.name not in SIDES:
                most = limit.latency_ns if unit == "ns" else limit.bandwidth_bytes_s
            reached = "-" if not most or unit == "ns" else f"{cell.figure.median / most:.0%}"
            table.add_row(
                TITLES.get(matrix.name, matrix.name).lower(),
                f"{figure_text(cell.figure, unit, verified=cell.verified)} {shown_unit(unit)}",
                range_text(cell.figure, unit),
                "-" if not most else digits(scaled(unit, most)),
                reached,
            )
    console.print(table)
    if limit is not None:
        console.print(Text(f"physical limit: {limit.source}", style="dim"))
    console.print()


def _show_limits(console: Console, report: BenchReport) -> None:
    """Print what each node's own memory reaches of what it could do."""
    read = report.matrix("read")
    table = Listing("node", "read", "at most", "reached")
    for one in report.limits:
        cell = None if read is None else read.cell(one.node_id, one.node_id)
        if cell is not None and one.bandwidth_bytes_s:
            table.add_row(
                str(one.node_id),
                f"{digits(cell.figure.median / 1e9)} GB/s",
                f"{digits(one.bandwidth_bytes_s / 1e9)} GB/s",
                f"{cell.figure.median / one.bandwidth_bytes_s:.0%}",
            )
    if table.row_count:
        console.print(table)
    for source in dict.fromkeys(one.source for one in report.limits):
        nodes = [one.node_id for one in report.limits if one.source == source]
        where = "" if len(nodes) == len(report.limits) else f" of node {ids_text(nodes, ', ')}"
        console.print(Text(f"physical limit{where}: {source}", style="dim"))
    console.print()


def _show_loaded(console: Console, points: tuple[LoadPoint, ...]) -> None:
    curves: dict[tuple[int, int], list[LoadPoint]] = {}
    for point in points:
        curves.setdefault((point.source, point.target), []).append(point)
    most = max(point.latency_ns.median for point in points)
    block = "#" if console.options.ascii_only else "█"
    for (source, target), curve in curves.items():
        console.print(
            f"[bold]Latency under load[/bold], node {source} to {target}: one CPU waits, the "
            "others read",
            highlight=False,
        )
        table = Listing("load, GB/s", "latency, ns", "", left=(2,))
        for point in sorted(curve, key=lambda one: one.load_bytes_s.median):
            table.add_row(
                figure_text(point.load_bytes_s, "bytes/s", verified=point.verified),
                figure_text(point.latency_ns, "ns", verified=point.verified),
                Text(block * round(_BAR * point.latency_ns.median / most), style="cyan"),
            )
        console.print(table)
        console.print()


def _show_pages(console: Console, pages: tuple[PageSize, ...]) -> None:
    console.print(f"[bold]Page sizes[/bold], node {pages[0].node_id}", highlight=False)
    table = Listing("pages", "size", "latency, ns", "page faults, GB/s", "populating, GB/s")
    for one in pages:
        cells = []
        for figure, unit in (
            (one.latency_ns, "ns"),
            (one.touch_bytes_s, "bytes/s"),
            (one.populate_bytes_s, "bytes/s"),
        ):
            cells.append(
                "-" if figure is None else figure_text(figure, unit, verified=one.verified)
            )
        if all(cell == "-" for cell in cells) and one.reason is not None:
            cells = [f"[dim]{one.reason}", "", ""]
        table.add_row(one.kind, size_text(one.page_bytes), *cells)
    console.print(table)
    console.print()


def _show_reach(console: Console, points: tuple[ReachPoint, ...]) -> None:
    console.print(
        f"[bold]Latency by pages touched[/bold], node {points[0].node_id}: one line in each "
        f"{size_text(points[0].step_bytes)}",
        highlight=False,
    )
    kinds = list(dict.fromkeys((one.kind, one.page_bytes) for one in points))
    table = Listing("lines", "memory", *(f"{size_text(size)} pages, ns" for _, size in kinds))
    for lines in sorted({one.lines for one in points}):
        cells = []
        for kind in kinds:
            found = [one for one in points if (one.kind, one.page_bytes) == kind]
            point = next((one for one in found if one.lines == lines), None)
            cells.append(
                "-"
                if point is None
                else figure_text(point.latency_ns, "ns", verified=point.verified)
            )
        table.add_row(str(lines), size_text(lines * points[0].step_bytes), *cells)
    console.print(table)
    console.print()


def _show_allocations(console: Console, found: tuple[Allocation, ...]) -> None:
    console.print(
        f"[bold]Allocators[/bold], node {found[0].node_id}: get memory, write to each page, "
        "give it back",
        highlight=False,
    )

    def time(figure: Figure) -> str:
        text = time_text(figure.median) + ("" if figure.steady else UNSTEADY)
        return text.replace("µ", "u") if console.options.ascii_only else text

    table = Listing("from", "size", "time", "untouched", "to the pool's", "on the node")
    for one in found:
        pool = next((p for p in found if p.name == "pool" and p.size_bytes == one.size_bytes), None)
        times = "-" if pool is None else f"{digits(one.whole_ns.median / pool.whole_ns.median)}x"
        table.add_row(
            one.name if one.name.startswith("n") else f"numapool {one.name}",
            size_text(one.size_bytes),
            time(one.whole_ns),
            time(one.get_ns),
            times,
            f"{one.bytes_on_node / one.size_bytes:.0%}",
            end_section=one.name == "pool",
        )
    console.print(table)
    console.print()


def _show_devices(console: Console, found: tuple[DeviceRead, ...]) -> None:
    console.print("[bold]Devices[/bold], read into memory past the page cache")
    headings = ("path", "its node", "memory of", "GB/s", "rounds from", "direct")
    table = Listing(*headings, folds={0: 20})
    places = {"near": " (near)", "far": " (far)", "only": "", "unknown": ""}
    for one in found:
        table.add_row(
            Text(one_line(one.path)),
            "unknown" if one.device_node is None else str(one.device_node),
            f"node {one.target}{places.get(one.place, '')}",
            figure_text(one.bytes_s, "bytes/s", verified=one.verified),
            range_text(one.bytes_s, "bytes/s"),
            f"{one.direct_share:.0%}",
        )
    console.print(table)
    console.print()


def _head(report: BenchReport) -> Text:
    cpu = report.machine.get("cpu") or "unknown processor"
    count = len(set(report.sources) | set(report.targets))
    head = Text.assemble((one_line(str(cpu)), "bold"))
    below = report.machine.get("hypervisor")
    head.append(f", {count} node{'' if count == 1 else 's'}")
    head.append("" if below is None else f", under {below}")
    sizes = sorted(set(report.size_bytes.values()))
    if sizes:
        text = " to ".join(dict.fromkeys((size_text(sizes[0]), size_text(sizes[-1]))))
        head.append(f"\n{text} measured on each node", style="dim")
        head.append(f", streams by {report.machine.get('instructions')}", style="dim")
    head.append(f", in {digits(report.took_s)} s" if sizes else f"\nin {digits(report.took_s)} s")
    return head


def _legend(report: BenchReport) -> str:
    cells = [cell for matrix in report.matrices for cell in matrix.cells]
    notes = []
    if any(not cell.figure.steady for cell in cells):
        notes.append(f"{UNSTEADY} not steady")
    if any(not cell.verified for cell in cells):
        notes.append(f"{UNVERIFIED} place of memory or threads not verified")
    if cells and not any(UNVERIFIED in note for note in notes):
        notes.append("the place of all memory and threads was verified")
    return "; ".join(notes)


def show_report(console: Console, report: BenchReport) -> None:
    """Print a result.

    Parameters
    ----------
    console : Console
    report : BenchReport
    """
    console.print(_head(report), highlight=False)
    console.print()
    matrices = [matrix for matrix in report.matrices if matrix.cells]
    if matrices and len(report.sources) == len(report.targets) == 1:
        _show_only_node(console, report)
    elif matrices:
        for matrix in matrices:
            _show_matrix(console, report, matrix)
        _show_limits(console, report)
    if report.loaded:
        _show_loaded(console, report.loaded)
    if report.pages:
        _show_pages(console, report.pages)
    if report.reach:
        _show_reach(console, report.reach)
    if report.allocations:
        _show_allocations(console, report.allocations)
    if report.devices:
        _show_devices(console, report.devices)
    if legend := _legend(report):
        console.print(Text(legend, style="dim"))
        console.print()
    for warning in report.warnings:
        text = Text.assemble((f"{warning.kind}: ", "bold yellow"), one_line(warning.text))
        console.print(Padding(text, (0, 0, 0, 0)))

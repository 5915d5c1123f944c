"""The screen of ``numapool bench --compare``."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from numapool.bench.compare import Change, Comparison
from numapool.cli.bench_text import digits, scaled, shown_unit, time_text
from numapool.cli.failure import one_line
from numapool.cli.screen import Listing

_STYLES = {"faster": "green", "slower": "red", "same": "dim"}
# More than fits a screen: then only what changed is listed.
_MOST_LINES = 60


def _value(change: Change, value: float) -> str:
    if change.section == "allocators":
        return time_text(value)
    return f"{digits(scaled(change.unit, value))} {shown_unit(change.unit)}"


def _gain_text(gain: float) -> str:
    return f"{digits(gain)}x"


def show_comparison(console: Console, found: Comparison, names: tuple[str, str]) -> None:
    """Print what changed from the first result to the second."""
    console.print(
        Text.assemble("from ", (one_line(names[0]), "bold"), " to ", (one_line(names[1]), "bold"))
    )
    for difference in found.differences:
        console.print(Text(f"the runs differ in {one_line(difference)}", style="yellow"))
    shown = found.changes
    if len(shown) > _MOST_LINES:
        shown = tuple(one for one in shown if one.verdict != "same")
    if shown:
        console.print()
        console.print(_table(shown))
    console.print()
    counts = {name: sum(1 for c in found.changes if c.verdict == name) for name in _STYLES}
    console.print(
        f"{len(found.changes)} figures in both: {counts['faster']} faster, {counts['slower']} "
        f"slower, {counts['same']} the same within their noise.",
        highlight=False,
    )
    medians = {
        section: found.median_gain(section)
        for section in dict.fromkeys(one.section for one in found.changes)
    }
    parts = [f"{name} {_gain_text(gain)}" for name, gain in medians.items() if gain is not None]
    if parts:
        console.print(f"Median gain: {', '.join(parts)}.", highlight=False)
    for label, keys in (("first", found.only_before), ("second", found.only_after)):
        if keys:
            text = "; ".join(map(one_line, keys[:4])) + ("; ..." if len(keys) > 4 else "")
            console.print(Text(f"only in the {label}: {text}", style="dim"))


def _table(changes: tuple[Change, ...]) -> Listing:
    headings = ("question", "figure", "before", "after", "gain", "")
    table = Listing(*headings, left=(0, 1, 5), folds={1: 20})
    last = ""
    for one in changes:
        table.add_row(
            "" if one.section == last else one.section,
            Text(one_line(one.what)),
            _value(one, one.before),
            _value(one, one.after),
            _gain_text(one.gain),
            Text(one.verdict, style=_STYLES[one.verdict]),
        )
        last = one.section
    return table

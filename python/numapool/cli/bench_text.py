"""Figures as people read them: three digits, a unit, and a mark where they are in doubt."""

from __future__ import annotations

from numapool.bench.report import Figure

#: What the rows and the columns of a matrix are, where it is not CPUs and their memory.
SIDES = {
    "cache_modified": ("reading CPU of node", "CPU with the line, of node"),
    "cache_clean": ("reading CPU of node", "CPU with the line, of node"),
    "migration": ("pages from node", "to node"),
}
TITLES = {
    "latency": "Idle latency",
    "read": "Read bandwidth",
    "write": "Write bandwidth",
    "copy": "Copy bandwidth",
    "triad": "Triad bandwidth",
    "mix": "Mixed bandwidth",
    "cache_modified": "Cache to cache, modified",
    "cache_clean": "Cache to cache, clean",
    "migration": "Migration",
}
UNSTEADY = "~"
UNVERIFIED = "?"


def digits(value: float) -> str:
    """Write a number with three digits.

    >>> digits(98.25), digits(7.125), digits(1234.5)
    ('98.2', '7.12', '1234')
    """
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def scaled(unit: str, value: float) -> float:
    """Bring a value into the unit that is shown: nanoseconds, or GB/s."""
    return value if unit == "ns" else value / 1e9


def shown_unit(unit: str) -> str:
    """Return the unit that is shown."""
    return "ns" if unit == "ns" else "GB/s"


def figure_text(figure: Figure, unit: str, *, verified: bool = True) -> str:
    """Write the median, and behind it the marks."""
    marks = ("" if figure.steady else UNSTEADY) + ("" if verified else UNVERIFIED)
    return f"{digits(scaled(unit, figure.median))}{marks}"


def range_text(figure: Figure, unit: str) -> str:
    """Write the lowest and the highest round."""
    return f"{digits(scaled(unit, figure.lowest))} to {digits(scaled(unit, figure.highest))}"


def time_text(ns: float) -> str:
    """Write a time in the unit that suits it.

    >>> time_text(1500.0)
    '1.50 µs'
    """
    for limit, unit in ((1e3, "ns"), (1e6, "µs"), (1e9, "ms")):
        if ns < limit:
            return f"{digits(ns / (limit / 1e3))} {unit}"
    return f"{digits(ns / 1e9)} s"

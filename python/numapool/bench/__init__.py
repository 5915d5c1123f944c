"""Measures what memory costs on this machine: one file for each question, ``run()`` asks all."""

from __future__ import annotations

from numapool.bench.compare import Change, Comparison, compare
from numapool.bench.options import SECTIONS, BenchOptions
from numapool.bench.report import (
    Allocation,
    BenchReport,
    BenchWarning,
    Cell,
    DeviceRead,
    Figure,
    Limit,
    LoadPoint,
    Matrix,
    PageSize,
    ReachPoint,
    load_report,
)
from numapool.bench.run import run

__all__ = [
    "SECTIONS",
    "Allocation",
    "BenchOptions",
    "BenchReport",
    "BenchWarning",
    "Cell",
    "Change",
    "Comparison",
    "DeviceRead",
    "Figure",
    "Limit",
    "LoadPoint",
    "Matrix",
    "PageSize",
    "ReachPoint",
    "compare",
    "load_report",
    "run",
]

"""Builds the peers, and ends the run with a table of all ratios."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import numapool
from benchmarks.support.figures import recorded, table
from benchmarks.support.peers import BareCalls, open_libnuma

_FIGURES = pytest.StashKey[dict[str, object]]()
_SOURCE = Path(__file__).parent / "peers" / "bare.c"


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> BareCalls:
    """Bare system calls in C, compiled for this run."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("the peer in C needs a compiler, and there is no `cc` on PATH")
    library = tmp_path_factory.mktemp("peers") / "bare.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the peer in C does not compile here: {done.stderr.strip()}")
    return BareCalls(library)


@pytest.fixture(scope="session")
def libnuma() -> ctypes.CDLL:
    """libnuma, as a program in C would use it."""
    try:
        return open_libnuma()
    except OSError as error:
        pytest.skip(f"the peer libnuma is not available: {error}")


@pytest.fixture(scope="session")
def allocator() -> numapool.NumaAllocator:
    """One allocator for all."""
    return numapool.NumaAllocator()


@pytest.fixture(scope="session")
def node(allocator: numapool.NumaAllocator) -> int:
    """The first node that this process may use; the benchmarks run on its CPUs or near them."""
    usable = [
        node.node_id
        for node in allocator.topology.nodes
        if node.total_memory_bytes and node.node_id in allocator.topology.allowed_node_ids
    ]
    return usable[0]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FIGURES] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    try:
        yield
    finally:
        used = getattr(item, "funcargs", {}).get("benchmark")
        if used is not None and used.extra_info:
            item.config.stash[_FIGURES][item.nodeid] = used.extra_info


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    figures = [
        figure
        for extra_info in config.stash[_FIGURES].values()
        for figure in recorded(extra_info)  # type: ignore[arg-type]
    ]
    if not figures:
        return
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    terminalreporter.section("numapool beside its peers")
    for line in table(figures):
        terminalreporter.write_line(line)
    terminalreporter.write_line("")
    terminalreporter.write_line(
        "ratio: numapool's time over the peer's in the same round (median, min, max over rounds); "
        "below 1 numapool is faster."
    )
    terminalreporter.write_line(f"load averages at the end: {load} on {os.cpu_count()} CPUs")
    for note in dict.fromkeys(figure.note for figure in figures if figure.note):
        terminalreporter.write_line(f"- {note}")

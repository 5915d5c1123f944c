"""How fast do pages move from node to node, beside move_pages(2) page by page and migratepages(8)?

Run as ``python -m benchmarks.migration`` on a machine with two nodes, each with room for the
buffer. In turns, a buffer is moved to the other node and back by ``NodeBuffer.migrate``, by
``numapool.migrate`` as memory of another owner, by move_pages(2) for every base page in one call,
and in calls of 512 pages. Then a process of the same size is moved by ``migrate_process`` and by
migratepages. Prints one JSON document with seconds, for each way there and back, as the nodes may
have different numbers of CPUs: `median_ratio` is numapool's median round by the median round of the
peer, `ratio` the same of the fastest rounds, `cpu_ratio` of the least processor time.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numapool as nump
from numapool.memory.allocator import PageSize

_MOVE = 2  # MPOL_MF_MOVE, include/uapi/linux/mempolicy.h
_CALLS = {"x86_64": 279, "aarch64": 239}  # __NR_move_pages
_CHILD = """
import mmap, sys
size = int(sys.argv[1])
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(int(sys.argv[2]))
for at in range(0, size, mmap.PAGESIZE):
    memory[at] = 1
print(flush=True)
input()
"""
_ADVICE: dict[PageSize, int] = {"base": 15, "transparent": 14}  # MADV_NOHUGEPAGE, MADV_HUGEPAGE
#: Seconds and processor seconds of each round, by the target node and the way.
_Times = dict[int, dict[str, list[tuple[float, float]]]]


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.migration")
    parser.add_argument("--mib", type=int, default=1024, help="size of what is moved")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nodes", type=int, nargs=2, default=(0, 1))
    chosen = parser.parse_args()
    one, other = chosen.nodes
    out: dict[str, object] = {"mib": chosen.mib, "cpus": os.cpu_count()}
    pages: PageSize
    for pages in ("transparent", "base"):
        times = buffers_moved(chosen.mib << 20, pages, chosen.rounds, one, other)
        out[f"buffer, {pages}"] = beside(times, "migrate", ("one call", "calls of 512 pages"))
        out[f"array, {pages}"] = beside(times, "array", ("one call", "calls of 512 pages"))
        if shutil.which("migratepages"):
            times = processes_moved(chosen.mib << 20, pages, chosen.rounds, one, other)
            out[f"process, {pages}"] = beside(times, "migrate_process", ("migratepages",))
    print(json.dumps(out, indent=1))


def beside(times: _Times, ours: str, peers: tuple[str, ...]) -> dict[str, object]:
    """Return the rounds to each node, and their ratios."""
    return {f"to node {node}": _beside(ways, ours, peers) for node, ways in times.items()}


def _beside(
    ways: dict[str, list[tuple[float, float]]], ours: str, peers: tuple[str, ...]
) -> dict[str, object]:
    median = {way: statistics.median(wall for wall, _ in ways[way]) for way in ways}
    best = {way: tuple(map(min, zip(*all_of, strict=True))) for way, all_of in ways.items()}
    return {
        "rounds": {way: [round(s, 4) for s, _ in ways[way]] for way in (ours, *peers)},
        "median_ratio": {peer: round(median[ours] / median[peer], 3) for peer in peers},
        "ratio": {peer: round(best[ours][0] / best[peer][0], 3) for peer in peers},
        "cpu_ratio": {peer: round(best[ours][1] / best[peer][1], 3) for peer in peers},
    }


def move_pages(address: int, length: int, node: int, pages_per_call: int) -> None:
    """Move every base page, as a program in C would."""
    page = mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    number = _CALLS[os.uname().machine]
    count = min(length // page, pages_per_call)
    nodes = (ctypes.c_int * count)(*[node] * count)
    status = (ctypes.c_int * count)()
    pages = ctypes.c_void_p * count
    lists = [
        pages(*range(at, at + count * page, page))
        for at in range(address, address + length, count * page)
    ]
    began = _now()
    for some in lists:
        if libc.syscall(number, 0, ctypes.c_ulong(count), some, nodes, status, _MOVE) < 0:
            raise OSError(ctypes.get_errno(), "move_pages")
    _timed.append(_since(began))


#: What the last ways took, without what they prepared.
_timed: list[tuple[float, float]] = []


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    now = _now()
    return now[0] - began[0], now[1] - began[1]


def buffers_moved(size: int, page_size: PageSize, rounds: int, one: int, other: int) -> _Times:
    """Move a buffer there and back by each way in turns."""
    allocator = nump.NumaAllocator()
    with allocator.allocate(size, one, strict=True, page_size=page_size) as buffer:
        address = buffer.address
        array = (ctypes.c_char * size).from_address(address)

        def by_buffer(node: int) -> None:
            began = _now()
            buffer.migrate(node)
            _timed.append(_since(began))

        def by_array(node: int) -> None:
            began = _now()
            nump.migrate(array, node)
            _timed.append(_since(began))

        ways: dict[str, Callable[[int], object]] = {
            "one call": lambda node: move_pages(address, size, node, size),
            "calls of 512 pages": lambda node: move_pages(address, size, node, 512),
            "migrate": by_buffer,
            "array": by_array,
        }
        times: _Times = {node: {way: [] for way in ways} for node in (one, other)}
        for _ in range(rounds):
            for way, move in ways.items():
                for node in (other, one):
                    move(node)
                    assert buffer.placement().bytes_by_node == {node: size}
                    times[node][way].append(_timed.pop())
        return times


def processes_moved(size: int, page_size: PageSize, rounds: int, one: int, other: int) -> _Times:
    """Move a process there and back by each way in turns."""
    command = [sys.executable, "-m", "numapool", "run", "--memory", str(one), "--"]
    child = [sys.executable, "-c", _CHILD, str(size), str(_ADVICE[page_size])]
    times: _Times = {node: {"migratepages": [], "migrate_process": []} for node in (one, other)}
    with subprocess.Popen(
        [*command, *child], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(rounds):
            for way in times[one]:
                for source, target in ((one, other), (other, one)):
                    wall, cpu = time.perf_counter(), sum(os.times()[:4])
                    if way == "migratepages":
                        subprocess.run(
                            [way, str(process.pid), str(source), str(target)], check=True
                        )
                    else:
                        nump.migrate_process(process.pid, [source], [target])
                    took = time.perf_counter() - wall, sum(os.times()[:4]) - cpu
                    there = nump.process_placement(process.pid).bytes_by_node.get(target, 0)
                    assert there >= size, f"{way} left {size - there} bytes"
                    times[target][way].append(took)
        process.stdin.write(b"\n")
    return times


if __name__ == "__main__":
    main()

"""joblib's workers on nodes: real ones, of a process of its own that is gone afterwards."""

from __future__ import annotations

import pytest
from support import child
from support.optional import needed

START = '''
import os, signal, time
import numpy as np
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import BrokenProcessPool
import numapool as nump
import numapool.engines.joblib

NODE = nump.nodes("cpu").ids[0]
MIB = 1 << 20

def where(*data):
    return os.getpid(), nump.bound_node(), tuple(sorted(os.sched_getaffinity(0)))

def anew(pids):
    """Call workers until others than these answer: a call that meets their end fails."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            seen = set(Parallel()(delayed(where)(i) for i in range(8)))
        except BrokenProcessPool:
            continue
        if pids.isdisjoint(one[0] for one in seen):
            return seen
    raise AssertionError("the workers that were killed still answer")
'''


def output_of(program: str) -> list[str]:
    needed("joblib")
    return child.check(START + program).splitlines()


def test_workers_are_on_their_node_and_so_are_those_that_replace_them() -> None:
    output_of("""
cpus = tuple(sorted(os.sched_getaffinity(0) & set(nump.current_topology().node(NODE).cpu_cores)))
with parallel_config("numapool", nodes=NODE, n_jobs=2):
    seen = set(Parallel()(delayed(where)(i) for i in range(8)))
    assert {one[1:] for one in seen} == {(NODE, cpus)}
    pids = {one[0] for one in seen}
    assert os.getpid() not in pids

    again = Parallel()(delayed(where)(lambda: i) for i in range(8))    # loky pickles functions
    assert len(pids | {one[0] for one in again}) <= 2                  # the same workers

    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert {one[1:] for one in anew(pids)} == {(NODE, cpus)}

    try:
        Parallel()(delayed(int)(text) for text in ("1", "x"))
    except ValueError:
        pass
    else:
        raise AssertionError("what a task raises is raised")
    assert Parallel()(delayed(abs)(-i) for i in range(4)) == [0, 1, 2, 3]
    assert Parallel(n_jobs=1)(delayed(os.getpid)() for _ in range(2)) == [os.getpid()] * 2
""")


def test_data_is_shared_by_the_workers_of_a_node() -> None:
    output_of("""
def look(array, shared):
    total = int(array.sum())
    return type(array).__name__, total, bytes(memoryview(shared)[:3]), memoryview(shared).readonly

array = np.arange(MIB)
with nump.SharedNodeBuffer(MIB, NODE) as shared, parallel_config("numapool", nodes=NODE, n_jobs=2):
    memoryview(shared)[:3] = b"abc"
    seen = Parallel()(delayed(look)(array, shared) for _ in range(2))
    assert seen == [("memmap", MIB * (MIB - 1) // 2, b"abc", False)] * 2, seen
    small = Parallel(max_nbytes=None)(delayed(look)(array, shared) for _ in range(2))
    assert {one[0] for one in small} == {"ndarray"}
""")


def test_workers_are_shared_out_by_cpus() -> None:
    needed("joblib")
    from numapool.engines.joblib import NodeBackend

    backend = NodeBackend()
    backend._cpus = {0: 4, 1: 2, 2: 2}
    assert backend._share_out(1) == {0: 1}
    assert backend._share_out(4) == {0: 2, 1: 1, 2: 1}
    assert backend._share_out(8) == {0: 4, 1: 2, 2: 2}
    assert sum(backend._share_out(13).values()) == 13
    counts = [backend.effective_n_jobs(asked) for asked in (-1, -2, -99, 3, None)]
    assert counts == [8, 7, 1, 3, 1]
    with pytest.raises(ValueError, match="n_jobs must not be 0"):
        backend.effective_n_jobs(0)
    with pytest.raises(ValueError, match="nodes must name at least one node"):
        NodeBackend(nodes=[])

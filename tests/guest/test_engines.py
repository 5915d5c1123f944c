"""Engines over nodes: where the pages of Dask's and of joblib's workers are.

They start many interpreters, which takes minutes in an emulated machine. So they run when they are
asked for: ``NUMAPOOL_TEST_ENGINES=1 python -m pytest tests/guest/test_engines.py``.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys

import pytest

from .harness.machine import Machine
from .harness.selection import inside

if not inside() and "NUMAPOOL_TEST_ENGINES" not in os.environ:
    pytest.skip("takes minutes: set NUMAPOOL_TEST_ENGINES to run it", allow_module_level=True)

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1

_DASK = """
import numpy as np
from distributed import Client, wait
from numapool.engines.dask import NodeCluster, placement

PORTS = {"dashboard_address": "127.0.0.1:0"}
ROWS, INNER = 4096, 32    # a block of the left matrix is 1 MiB
rng = np.random.default_rng(1)
left = rng.integers(0, 8, (4 * ROWS, INNER)).astype("f8")
right = rng.integers(0, 8, (INNER, INNER)).astype("f8")

def received(dask_worker):
    counts = dask_worker.plugins["numapool"].pool.statistics()
    return {node: one.in_use_bytes for node, one in counts.by_node.items() if one.in_use_bytes}

with (
    NodeCluster(nanny=False, scheduler_kwargs=PORTS, worker_kwargs=PORTS) as cluster,
    Client(cluster, timeout=300) as client,
):
    client.wait_for_workers(2, timeout=500)
    names = {one["name"]: address for address, one in client.scheduler_info()["workers"].items()}
    assert sorted(names) == ["node0", "node1"]
    blocks = [
        client.scatter(left[i * ROWS : (i + 1) * ROWS], workers=[names[f"node{i % 2}"]])
        for i in range(4)
    ]
    products = [
        client.submit(np.matmul, block, right, resources={f"node{i % 2}": 1})
        for i, block in enumerate(blocks)
    ]
    wait(products, timeout=500)
    for address, seen in placement(client).items():
        print(f"{seen.name}: {seen.share:.4f} of {sum(seen.bytes_by_node.values())} bytes")
        assert seen.name == f"node{seen.node_id}" and seen.share >= 0.95, seen
        assert list(client.run(received, workers=[address])[address]) == [seen.node_id]
    assert np.array_equal(np.vstack(client.gather(products)), left @ right)
"""

_JOBLIB = """
import os
import numpy as np
from joblib import Parallel, delayed, parallel_config
import numapool as nump
import numapool.engines.joblib

def look(array):
    total = int(array.sum())
    uses = nump.process_placement().bytes_by_use
    own = [found for use, found in uses.items() if use != "file"]
    node = nump.bound_node()
    here = sum(found.get(node, 0) for found in own)
    share = here / sum(sum(found.values()) for found in own)
    return node, os.getpid(), total, type(array).__name__, share, nump.placement_of(array)

array = np.arange(1 << 20)
with parallel_config("numapool", nodes=[0, 1], n_jobs=2):
    for node, _, total, kind, share, placed in Parallel()(delayed(look)(array) for _ in range(4)):
        print(f"node {node}: {share:.4f}, {dict(placed.bytes_by_node)}")
        assert total == array.sum() and kind == "memmap" and share >= 0.95
        assert list(placed.bytes_by_node) == [node]
"""


@pytest.fixture(scope="module", autouse=True)
def _loopback() -> None:
    """What begins a guest leaves its only network adapter down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def output_of(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.machine("two_equal")
def test_workers_of_joblib_and_their_data_are_on_their_nodes(machine: Machine) -> None:
    lines = output_of(_JOBLIB)
    print(*lines, sep="\n")
    assert {line.split(":")[0] for line in lines} == {"node 0", "node 1"}


@pytest.mark.machine("two_equal")
def test_workers_of_dask_have_their_pages_on_their_nodes(machine: Machine) -> None:
    lines = output_of(_DASK)
    print(*lines, sep="\n")
    assert [line.split(":")[0] for line in sorted(lines)] == ["node0", "node1"]

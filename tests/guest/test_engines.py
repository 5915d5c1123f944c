"""Engines over nodes: where the pages of Dask's, joblib's and PyTorch's workers are.

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
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .harness.machine import Machine
from .harness.selection import inside
from .support.host import Host

if not inside() and "NUMAPOOL_TEST_ENGINES" not in os.environ:
    pytest.skip("takes minutes: set NUMAPOOL_TEST_ENGINES to run it", allow_module_level=True)

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1

#: An emulated processor takes half a minute to import Dask or PyTorch.
_SLOW = {
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "300s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "300s",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "1200s",
    # A cluster closes the nanny of a worker that is not back by then; 15 s by default.
    "DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "600s",
    "OMP_NUM_THREADS": "1",
}

_JOBLIB = """
import os
import joblib
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

print(f"joblib {joblib.__version__}", flush=True)
array = np.arange(1 << 20)
with parallel_config("numapool", nodes=[0, 1], n_jobs=2):
    for node, _, total, kind, share, placed in Parallel()(delayed(look)(array) for _ in range(4)):
        print(f"node {node}: {share:.4f}, {dict(placed.bytes_by_node)}")
        assert total == array.sum() and kind == "memmap" and share >= 0.95
        assert list(placed.bytes_by_node) == [node]
"""


_LOADER = """
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info
import numapool as nump
import numapool.arrays.torch as nt

class Made(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        made = torch.full((4 << 20,), index, dtype=torch.int32)    # 16 MiB
        by_node = nump.placement_of(made).bytes_by_node
        here = by_node.get(nump.bound_node(), 0)
        right = bool((made == index).all())
        worker = get_worker_info().id
        return torch.tensor([worker, nump.bound_node(), here, sum(by_node.values()), right])

print(f"torch {torch.__version__}", flush=True)
made = DataLoader(Made(), batch_size=None, num_workers=2, worker_init_fn=nt.worker_init([0, 1]))
seen = {}
for worker, node, here, total, right in (one.tolist() for one in made):
    assert worker == node and right
    before = seen.get(node, (0, 0))
    seen[node] = (before[0] + here, before[1] + total)
for node, (here, total) in sorted(seen.items()):
    print(f"node {node}: {here / total:.4f} of {total} bytes")
    assert total >= 4 * (16 << 20) and here / total >= 0.95
"""

_RANK = """
import json, os
import numpy as np
import numapool as nump

array = np.ones(4 << 20)
seen = nump.process_placement()
by_node = {}
for use, found in seen.bytes_by_use.items():
    for node, count in found.items() if use != "file" else ():
        by_node[node] = by_node.get(node, 0) + count
node, rank = nump.bound_node(), int(os.environ["LOCAL_RANK"])
share = by_node.get(node, 0) / sum(by_node.values())
assert rank == node and share >= 0.95, (rank, node, by_node)
assert os.sched_getaffinity(0) == set(nump.current_topology().node(node).cpu_cores)
print(f"rank {rank}: {share:.4f} of {sum(by_node.values()) >> 20} MiB on node {node}", flush=True)
"""


@pytest.fixture(scope="module", autouse=True)
def _loopback() -> None:
    """What begins a guest leaves its only network adapter down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def output_of(host: Host, *command: str) -> list[str]:
    """What a program writes; the host is told line by line, and by a sign of life beside it."""
    lines = []
    with (
        subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **_SLOW},
        ) as program,
        _signs_of_life(host),
    ):
        assert program.stdout is not None
        for line in program.stdout:
            host.tell(line.rstrip())
            lines.append(line.rstrip())
    print(*lines, sep="\n")
    assert program.returncode == 0, lines
    return lines


@contextmanager
def _signs_of_life(host: Host) -> Iterator[None]:
    """A guest that says nothing for three minutes is taken for dead."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(60):
            host.tell("still at it")

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.machine("two_equal")
def test_workers_of_joblib_and_their_data_are_on_their_nodes(machine: Machine, host: Host) -> None:
    version, *lines = output_of(host, "-c", _JOBLIB)
    assert version.startswith("joblib ")
    assert {line.split(":")[0] for line in lines} == {"node 0", "node 1"}


@pytest.mark.machine("two_equal")
def test_what_a_data_loaders_workers_make_is_on_their_nodes(machine: Machine, host: Host) -> None:
    version, *lines = output_of(host, "-c", _LOADER)
    assert version.startswith("torch ")
    assert [line.split(":")[0] for line in lines] == ["node 0", "node 1"]


@pytest.mark.machine("two_equal")
def test_ranks_of_torchrun_have_their_pages_on_their_nodes(machine: Machine, host: Host) -> None:
    lines = output_of(
        host,
        *("-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"),
        *("--nproc-per-node", "2", "--no-python"),
        *(sys.executable, "-P", "-m", "numapool", "run", "--by-rank", "--"),
        *(sys.executable, "-c", _RANK),
    )
    ranks = sorted(line.split(":")[0] for line in lines if line.startswith("rank "))
    assert ranks == ["rank 0", "rank 1"]


@pytest.mark.machine("two_equal")
def test_dask_with_more_data_than_a_node_has(machine: Machine, host: Host) -> None:
    """Placement, receive buffers, spilling by pressure, a restart; it runs dask_proof.py."""
    folder = Path("/run/share/spilled")  # on a disk of the host
    folder.mkdir()
    program = Path(__file__).parent / "support" / "dask_proof.py"
    lines = output_of(host, str(program), str(folder))
    assert lines[-1].endswith(": done")

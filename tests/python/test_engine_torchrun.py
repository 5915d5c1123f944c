"""Ranks that torchrun starts are each on their node: by ``numapool run --by-rank``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from support.optional import needed

import numapool as nump
from numapool.base.units import ids_text

# What the kernel says of itself: /proc/PID/status, and the policy of the mappings.
_RANK = """
import json, os, re
from pathlib import Path
status = Path("/proc/self/status").read_text()
policies = {line.split()[1] for line in Path("/proc/self/numa_maps").read_text().splitlines()}
print(json.dumps({
    "rank": int(os.environ["LOCAL_RANK"]),
    "cpus": re.search(r"Cpus_allowed_list:\\s*(\\S+)", status)[1],
    "policies": sorted(policies),
}), flush=True)
"""


@pytest.mark.thread_unsafe(reason="starts programs of its own")
def test_each_rank_has_its_node_s_cpus_and_memory_policy() -> None:
    torch = needed("torch")
    nodes = nump.nodes("cpu").ids
    run = [sys.executable, "-P", "-m", "numapool", "run", "--by-rank", "--"]
    # Where no name server knows this machine, torchrun would wait for one.
    here = ["--standalone", "--local-addr", "127.0.0.1"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *here]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", "--no-python", *run, sys.executable, "-c", _RANK],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    ranks = {one["rank"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert sorted(ranks) == [0, 1]
    for rank, told in ranks.items():
        node = nodes[rank % len(nodes)]
        own = os.sched_getaffinity(0) & set(nump.current_topology().node(node).cpu_cores)
        assert told["cpus"] == ids_text(own)
        assert f"prefer:{node}" in told["policies"], told
    print(f"torch {torch.__version__}")  # pytest -rP shows the version

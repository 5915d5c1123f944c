"""The recipe for MPI. Neither mpi4py nor an MPI is among the test tools: it runs where they are."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "mpi_on_nodes.py"
_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
MPIRUN = shutil.which("mpirun", path=_PATH)


@pytest.mark.skipif(
    MPIRUN is None or importlib.util.find_spec("mpi4py") is None,
    reason="mpi4py or mpirun is not installed",
)
def test_ranks_share_a_table_and_receive_on_their_node() -> None:
    run = [sys.executable, "-P", "-m", "numapool", "run", "--by-rank", "--node", "0", "--"]
    done = subprocess.run(
        [str(MPIRUN), "-n", "2", *run, sys.executable, str(EXAMPLE)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
        env={**os.environ, "PATH": _PATH},
    )
    assert done.returncode == 0, done.stderr
    told = "of 2 on node 0: received on [0]: 32768, own 32768"
    assert sorted(done.stdout.splitlines()) == [f"rank 0 {told}", f"rank 1 {told}"]

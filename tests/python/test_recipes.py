"""The recipes with other libraries do what they say; the one for CUDA with a stand-in for it."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.optional import needed

import numapool as nump

EXAMPLES = Path(__file__).parents[2] / "examples"


def output_of(name: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory is shared by memfd_create(2)")
def test_workers_of_a_data_loader_share_the_samples() -> None:
    needed("torch")
    text = output_of("torch_data_loader.py")
    assert "1024 samples by workers [0, 1] from node [" in text
    first = nump.nodes("cpu").ids[:2]
    assert f"the workers' own nodes: {list(first)}" in text
    assert "as it should be: True" in text


def test_parquet_row_groups_come_into_pool_memory() -> None:
    needed("pyarrow")
    lines = output_of("parquet_on_node.py").splitlines()
    assert len(lines) == 5
    assert all(line.startswith("25000 rows, all on node") for line in lines[:4])
    assert all(line.endswith(": True") for line in lines[:4])
    assert lines[4].startswith("sum 4999950000;")


class Cudart:
    """What torch.cuda.cudart() gives, for a machine without a GPU."""

    def __init__(self, answer: int = 0) -> None:
        self.answer = answer
        self.registered: dict[int, int] = {}

    def cudaHostRegister(self, address: int, size: int, flags: int) -> int:
        assert flags == 0
        if self.answer == 0:
            self.registered[address] = size
        return self.answer

    def cudaHostUnregister(self, address: int) -> int:
        del self.registered[address]
        return 0

    def cudaGetErrorString(self, error: int) -> str:
        return f"error {error}"


def test_page_locked_memory_stays_where_it_is(node: int, monkeypatch: pytest.MonkeyPatch) -> None:
    needed("torch")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    page_locked: Any = __import__("cuda_page_locked").page_locked
    cudart = Cudart()
    with nump.BufferPool() as pool, pool.acquire(1 << 22, node) as buffer:
        address = buffer.address
        with page_locked(buffer, cudart) as tensor:
            assert cudart.registered == {address: 1 << 22}
            assert tensor.data_ptr() == address
            for refused in (buffer.close, lambda: buffer.migrate(node)):
                with pytest.raises(BufferError):
                    refused()
            with pytest.raises(BufferError):
                nump.migrate(tensor, node)
            assert pool.trim() == 0
            del tensor
        assert cudart.registered == {}
        buffer.migrate(node)
        with (
            pytest.raises(RuntimeError, match="error 2"),
            page_locked(buffer, Cudart(answer=2)),
        ):
            pass
        buffer.migrate(node)


@pytest.mark.thread_unsafe(reason="sets sys.argv")
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("examples/cuda_page_locked.py", "PyTorch finds no GPU here"),
        ("examples/cuda_pinned_pool.py", "page-locked memory for a GPU needs the CUDA driver"),
        ("benchmarks/host_to_device.py", "page-locked memory for a GPU needs the CUDA driver"),
    ],
)
def test_without_a_gpu_programs_for_one_say_so(
    program: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = needed("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    monkeypatch.setattr(sys, "argv", [program])
    with pytest.raises(SystemExit, match=f"^UnsupportedError: {reason}"):
        runpy.run_path(str(EXAMPLES.parent / program), run_name="__main__")

"""Node memory that a GPU reads directly: page-locked with cudaHostRegister, and held meanwhile.

Run it as ``python examples/cuda_page_locked.py``. Without a GPU it says so, and does nothing. It
has not been run on a GPU yet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

import numapool as nump


@contextmanager
def page_locked(buffer: nump.NodeBuffer, cudart: Any | None = None) -> Iterator[Any]:
    """Page-lock a buffer for CUDA, and give it as a tensor of bytes.

    CUDA keeps the physical addresses of the pages. So the buffer is held as long: closing,
    migrating and moving it are refused, and its pool cannot trim it.
    """
    cuda = torch.cuda.cudart() if cudart is None else cudart
    with buffer.pin() as held:
        error = cuda.cudaHostRegister(held.address, held.nbytes, 0)
        if int(error) != 0:
            raise RuntimeError(f"cudaHostRegister of {buffer}: {cuda.cudaGetErrorString(error)}")
        try:
            yield torch.from_dlpack(buffer)
        finally:
            cuda.cudaHostUnregister(held.address)


def main() -> None:
    """Copy from a page-locked buffer to the GPU, without the CUDA driver's own staging."""
    if not torch.cuda.is_available():
        sys.exit("UnsupportedError: PyTorch finds no GPU here: there is nothing to page-lock for")
    gpu = torch.cuda.get_device_properties(0)
    address = f"{gpu.pci_domain_id:04x}:{gpu.pci_bus_id:02x}:{gpu.pci_device_id:02x}.0"
    node = nump.device_node(address)
    with (
        nump.BufferPool() as pool,
        pool.acquire(64 << 20, node) as buffer,
        page_locked(buffer) as tensor,
    ):
        tensor.fill_(7)
        there = tensor.to("cuda", non_blocking=True)
        torch.cuda.synchronize()
        print(f"{there.numel()} bytes from {buffer} to {there.device}: {int(there[0])}")


if __name__ == "__main__":
    main()

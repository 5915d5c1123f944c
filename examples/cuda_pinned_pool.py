"""Batches for a GPU from page-locked memory on its node, used again and again.

Run it as ``python examples/cuda_pinned_pool.py``. Without a GPU it says so, and does nothing. It
has not been run on a GPU yet.
"""

from __future__ import annotations

import sys

import torch

import numapool as nump
import numapool.arrays.torch as nt


def main() -> None:
    """Send batches to the GPU, each from a block that was locked once."""
    try:
        pool = nt.PinnedPool("cuda:0")
    except nump.UnsupportedError as error:
        sys.exit(f"UnsupportedError: {error}")
    with pool:
        stream = torch.cuda.current_stream()
        total = 0
        for number in range(8):
            batch = pool.empty((64, 3, 224, 224))
            batch.fill_(number)  # here a program decodes its samples
            there = batch.to("cuda:0", non_blocking=True)
            stream.synchronize()  # the block is the next batch's when `batch` is gone
            total += int(there[0, 0, 0, 0])
            del batch
        print(f"sum {total} from {pool}, {pool.statistics()}")


if __name__ == "__main__":
    main()

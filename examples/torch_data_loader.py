"""PyTorch DataLoader workers, each pinned to a node, on one data set that they share.

Run it as ``python examples/torch_data_loader.py``. The samples are in a SharedNodeBuffer: every
worker maps the same pages, and a batch is copied once, into the worker's own node.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

import numapool as nump
from numapool.arrays.torch import worker_init

SAMPLES, WIDTH = 1024, 256


class SharedSamples(Dataset[Any]):  # type: ignore[misc]
    """Rows of floats in memory that all processes share; passing it to a worker copies nothing."""

    def __init__(self, memory: nump.SharedNodeBuffer) -> None:
        self._memory = memory

    def tensor(self) -> Any:
        """Return all rows, as a view of the shared memory in this process."""
        return torch.frombuffer(self._memory, dtype=torch.float32).view(SAMPLES, WIDTH)

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> Any:
        worker, bound = get_worker_info(), nump.bound_node()
        number, home = -1 if worker is None else worker.id, -1 if bound is None else bound
        return self.tensor()[index], number, self._memory.requested_node, home


def main(method: str = "spawn") -> None:
    """Fill the shared memory, and read it through two workers."""
    home = nump.NumaTopology.detect().nearest(0)[0]
    with nump.SharedNodeBuffer(SAMPLES * WIDTH * 4, home) as memory:
        samples = SharedSamples(memory)
        samples.tensor()[:] = torch.arange(SAMPLES, dtype=torch.float32)[:, None]
        loader = DataLoader(
            samples,
            batch_size=64,
            num_workers=2,
            worker_init_fn=worker_init(),
            multiprocessing_context=method,
        )
        total, workers, asked, homes = 0.0, set(), set(), set()
        for rows, numbers, nodes, bound in loader:
            total += float(rows[:, 0].sum())
            workers.update(numbers.tolist())
            asked.update(nodes.tolist())
            homes.update(bound.tolist())
        print(f"{SAMPLES} samples by workers {sorted(workers)} from node {sorted(asked)}")
        print(f"the workers' own nodes: {sorted(homes)}")
        print(f"sum {total:.0f}, as it should be: {total == SAMPLES * (SAMPLES - 1) / 2}")


if __name__ == "__main__":
    main()

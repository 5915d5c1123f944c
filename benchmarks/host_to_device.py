"""How fast does a GPU copy from page-locked memory on its node, beside PyTorch's own?

Run as ``python -m benchmarks.host_to_device`` on a machine with a GPU. Each round asks for a tensor
of page-locked memory, fills it, and copies it to the GPU: from a PinnedPool, from
``tensor.pin_memory()``, and from ordinary memory, in turns. Prints one JSON document: GB/s of the
copies alone, and of whole rounds. Not run on a GPU yet.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch

import numapool as nump
import numapool.arrays.torch as nt


def main() -> None:
    """Measure as the command line says; ends with the reason where there is no GPU."""
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m benchmarks.host_to_device"
    )
    parser.add_argument("--device", type=int, default=0, help="number of the GPU")
    parser.add_argument("--mib", type=int, default=64, help="size of a tensor")
    parser.add_argument("--rounds", type=int, default=50)
    chosen = parser.parse_args()
    try:
        with nt.PinnedPool(chosen.device) as pool:
            print(json.dumps(measured(pool, chosen.device, chosen.mib << 20, chosen.rounds)))
    except nump.UnsupportedError as error:
        sys.exit(f"UnsupportedError: {error}")


def measured(pool: nt.PinnedPool, device: int, nbytes: int, rounds: int) -> dict[str, object]:
    """Copy in turns; the median of each way, the first two rounds left out."""
    if not torch.cuda.is_available():
        raise nump.UnsupportedError("PyTorch finds no GPU: this build of it may have no CUDA")
    gpu = f"cuda:{device}"
    source = torch.full((nbytes,), 7, dtype=torch.uint8)
    there = torch.empty(nbytes, dtype=torch.uint8, device=gpu)

    def of_the_pool() -> torch.Tensor:
        return pool.empty(nbytes, torch.uint8).copy_(source)

    ways: dict[str, Callable[[], torch.Tensor]] = {
        "PinnedPool": of_the_pool,
        "pin_memory": source.pin_memory,
        "ordinary": source.clone,
    }
    copies: dict[str, list[float]] = {way: [] for way in ways}
    whole: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds + 2):
        for way, make in ways.items():
            torch.cuda.synchronize(device)
            began = time.perf_counter()
            tensor = make()
            made = time.perf_counter()
            there.copy_(tensor, non_blocking=True)
            torch.cuda.synchronize(device)
            ended = time.perf_counter()
            copies[way].append(nbytes / (ended - made) / 1e9)
            whole[way].append(nbytes / (ended - began) / 1e9)
            del tensor
    assert int(there[-1]) == 7
    return {
        "gpu": torch.cuda.get_device_name(device),
        "node": pool.node_id,
        "bytes": nbytes,
        "copy_gb_per_s": {way: statistics.median(all_of[2:]) for way, all_of in copies.items()},
        "round_gb_per_s": {way: statistics.median(all_of[2:]) for way, all_of in whole.items()},
        "pool": {"hits": pool.statistics().hits, "misses": pool.statistics().misses},
        "versions": {"torch": torch.__version__, "cuda": torch.version.cuda},
    }


if __name__ == "__main__":
    main()

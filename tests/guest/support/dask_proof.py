"""A program: Dask on the nodes of a guest, with more data than a node has, beside LocalCluster.

It tells each step in a line of standard output, and ends with an error if one is not as it shall
be. Run in a guest by test_engines.py; an argument names a folder for what is spilled.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import distributed
import numpy as np
from distributed import Client, Future, LocalCluster, wait

import numapool as nump
from numapool.engines.dask import NodeCluster, placement

MIB = 1 << 20
#: A block of the left matrix is 16 MiB, one of a product 2 MiB: both are received into a pool.
ROWS, INNER, COLUMNS = 16384, 128, 16
#: Blocks of the left matrix from left to right.
ACROSS = 4
PORTS = {"dashboard_address": "127.0.0.1:0"}
LEAST_SHARE = 0.95

_began = time.monotonic()


def tell(text: str) -> None:
    print(f"{time.monotonic() - _began:4.0f} s: {text}", flush=True)


def until(true: Callable[[], object], what: str, seconds: float = 600) -> None:
    end = told = time.monotonic()
    end += seconds
    while not true():
        assert time.monotonic() < end, f"{what} did not come"
        if time.monotonic() - told > 30:
            told = time.monotonic()
            tell(f"waiting for {what}")
        time.sleep(0.2)


def pattern() -> Any:
    return np.random.default_rng(1).integers(0, 8, (ROWS, INNER)).astype("f8")


def right_block(k: int) -> Any:
    return np.random.default_rng(2 + k).integers(0, 8, (INNER, COLUMNS)).astype("f8")


def left_block(base: Any, i: int, k: int) -> Any:
    """One that differs from all others, and whose product is easily had from that of the base."""
    return base * (i + 1) + k


def is_left_block(block: Any, base: Any, i: int, k: int) -> bool:
    return bool(np.array_equal(block, left_block(base, i, k)))


def total(*parts: Any) -> Any:
    return sum(parts[1:], start=parts[0])


def state(dask_worker: Any) -> dict[str, Any]:
    plugin = dask_worker.plugins["numapool"]
    counts = plugin.pool.statistics()
    return {
        "pid": os.getpid(),
        "cpus": sorted(os.sched_getaffinity(0)),
        "received": {node: one.in_use_bytes for node, one in counts.by_node.items()},
        "requests": counts.total.hits + counts.total.misses,
        "spilled_by_plugin": plugin.spilled_bytes,
        "on_disk": len(dask_worker.data.slow),
        "on_disk_bytes": dask_worker.data.spilled_total.disk,
    }


def own_pages(dask_worker: Any) -> dict[int, int]:
    """Private pages by node, by the kernel's own list (numa_maps), mapped files left out."""
    found: dict[int, int] = {}
    for line in Path("/proc/self/numa_maps").read_text().splitlines():
        words = line.split()
        if any(word.startswith("file=") for word in words):
            continue
        page = next((int(w.split("=")[1]) for w in words if w.startswith("kernelpagesize")), 4)
        for word in words:
            if word[0] == "N" and "=" in word:
                node, count = word[1:].split("=")
                found[int(node)] = found.get(int(node), 0) + int(count) * page * 1024
    return found


class Cluster:
    """Workers of a client by their node, and what they hold of the matrix."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.find()

    def find(self) -> None:
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        self.address = dict(
            enumerate(sorted(workers, key=lambda address: str(workers[address]["name"])))
        )

    def on(self, node: int, function: Callable[..., Any]) -> Any:
        address = self.address[node]
        return self.client.run(function, workers=[address])[address]

    def send(self, down: int, base: Any) -> dict[tuple[int, int], Future]:
        """Send the blocks of a matrix, by turns to the workers."""
        sent = {}
        for i in range(down):
            for k in range(ACROSS):
                here = [self.address[(i + k) % 2]]
                block = left_block(base, i, k)
                sent[i, k] = self.client.scatter(block, workers=here, direct=True, hash=False)
            if i % 4 == 3:
                tell(f"sent {(i + 1) * ACROSS * 16} MiB")
        return sent

    def multiply(self, blocks: dict[tuple[int, int], Future], down: int) -> list[Future]:
        """Multiply each block where it is, and add up a row on one worker."""
        products = []
        for i in range(down):
            parts = [
                self.client.submit(
                    np.matmul, blocks[i, k], right_block(k), workers=[self.address[(i + k) % 2]]
                )
                for k in range(ACROSS)
            ]
            products.append(self.client.submit(total, *parts, workers=[self.address[i % 2]]))
        return products

    def done(self, futures: list[Future], what: str) -> None:
        for at, future in enumerate(futures):
            wait(future, timeout=300)
            if at % 8 == 7:
                tell(f"{what}: {at + 1} of {len(futures)}")

    def check_product(self, products: list[Future], base: Any) -> None:
        of_base = [base @ right_block(k) for k in range(ACROSS)]
        sums = [right_block(k).sum(axis=0) for k in range(ACROSS)]
        for i, product in enumerate(products):
            expected = sum(of_base[k] * (i + 1) + k * sums[k] for k in range(ACROSS))
            assert np.array_equal(product.result(timeout=300), expected), i

    def check_blocks(self, blocks: dict[tuple[int, int], Future], base: Any) -> None:
        """Have every value of the blocks compared, each where it is, a few at a time."""
        here = self.client.scatter(base, broadcast=True, direct=True, hash=False)
        keys = list(blocks)
        for at in range(0, len(keys), 16):
            answers = [
                self.client.submit(
                    is_left_block, blocks[i, k], here, i, k,
                    workers=[self.address[(i + k) % 2]], pure=False,
                )
                for i, k in keys[at : at + 16]
            ]  # fmt: skip
            assert all(self.client.gather(answers)), keys[at : at + 16]
            tell(f"compared {min(at + 16, len(keys))} blocks of {len(keys)}")


@contextmanager
def filled(node: int) -> Iterator[list[Any]]:
    """Take memory of a node, 16 MiB at a time, as another program would."""
    allocator = nump.NumaAllocator()
    held: list[Any] = []
    try:
        yield held
    finally:
        for buffer in held:
            buffer.close()
        del allocator


def fill_until_spilled(cluster: Cluster, node: int) -> int:
    """Fill a node until its worker has spilled; the bytes that it spilled."""
    allocator = nump.NumaAllocator()
    before = cluster.on(node, state)["spilled_by_plugin"]
    with filled(node) as held:
        end = time.monotonic() + 300
        while cluster.on(node, state)["spilled_by_plugin"] == before:
            assert time.monotonic() < end, "the worker did not spill"
            free = nump.NumaTopology.detect().node(node).free_memory_bytes()
            try:
                if free > 24 * MIB:
                    held.append(
                        allocator.allocate(min(16 * MIB, free - 16 * MIB), node, strict=True)
                    )
            except (nump.PlacementError, MemoryError):
                pass
            time.sleep(0.3)
        tell(f"node {node} was filled with {len(held)} buffers, {free >> 20} MiB were free")
        time.sleep(3)
    return int(cluster.on(node, state)["spilled_by_plugin"] - before)


def prove_placement(cluster: Cluster, just_received: bool = False) -> None:
    """Each worker's private pages are on its node, and what it has just received.

    What was spilled and read again is not in the pool any more.
    """
    for address, seen in placement(cluster.client).items():
        by_kernel = cluster.client.run(own_pages, workers=[address])[address]
        share = by_kernel.get(seen.node_id, 0) / sum(by_kernel.values())
        received = cluster.client.run(state, workers=[address])[address]["received"]
        received = {node: count for node, count in received.items() if count}
        tell(
            f"{seen.name}: {share:.4f} of {sum(by_kernel.values()) >> 20} MiB of private pages on "
            f"node {seen.node_id} (placement(): {seen.share:.4f}); receive buffers "
            f"{ {node: f'{count >> 20} MiB' for node, count in received.items()} }"
        )
        assert seen.name == f"node{seen.node_id}"
        assert share >= LEAST_SHARE and seen.share >= LEAST_SHARE, (seen, by_kernel)
        assert set(received) <= {seen.node_id} and (received or not just_received), received


def on_nodes(folder: str, base: Any, down: int) -> None:
    options = {**PORTS, "local_directory": folder}
    with (
        NodeCluster(scheduler_kwargs=PORTS, worker_kwargs=options) as local,
        Client(local, timeout=300) as client,
    ):
        until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == 2, "workers")
        cluster = Cluster(client)
        limits = [one["memory_limit"] for one in client.scheduler_info()["workers"].values()]
        tell(f"NodeCluster: two workers with nannies, limits {[one >> 20 for one in limits]} MiB")
        assert [cluster.on(node, state)["cpus"] for node in (0, 1)] == [
            list(nump.NumaTopology.detect().node(node).cpu_cores) for node in (0, 1)
        ]

        blocks = cluster.send(down, base)
        prove_placement(cluster, just_received=True)
        products = cluster.multiply(blocks, down)
        cluster.done(products, "rows of the product")
        for node in (0, 1):
            seen = cluster.on(node, state)
            tell(
                f"node{node}: {seen['on_disk_bytes'] >> 20} MiB on disk, "
                f"{seen['requests']} blocks received"
            )
        assert sum(cluster.on(node, state)["on_disk"] for node in (0, 1)) > 0
        prove_placement(cluster)
        cluster.check_product(products, base)
        tell("every value of the product is right")

        pids = [cluster.on(node, state)["pid"] for node in (0, 1)]
        spilled = fill_until_spilled(cluster, 1)
        tell(f"node1: spilled {spilled >> 20} MiB as its node was short")
        assert spilled > 0
        cluster.check_blocks(blocks, base)
        tell("every value of every block is right")
        prove_placement(cluster)
        assert [cluster.on(node, state)["pid"] for node in (0, 1)] == pids
        del blocks, products

        here = client.scatter(base, broadcast=True, direct=True, hash=False)
        made = [
            client.submit(left_block, here, i, 0, resources={f"node{i % 2}": 1}) for i in range(4)
        ]
        cluster.done(made, "blocks")
        killed = cluster.address[1]
        os.kill(pids[1], signal.SIGKILL)
        tell("killed the worker of node 1")

        def is_back() -> bool:
            cluster.find()
            return bool(cluster.address.get(1, killed) != killed)

        until(is_back, "the worker again")
        for i, future in enumerate(made):
            assert np.array_equal(future.result(timeout=300), left_block(base, i, 0))
        tell("it is back, and what it had is computed again")
        for address, seen in placement(client).items():
            by_kernel = client.run(own_pages, workers=[address])[address]
            share = by_kernel.get(seen.node_id, 0) / sum(by_kernel.values())
            tell(f"{seen.name}: {share:.4f} of {sum(by_kernel.values()) >> 20} MiB, CPUs as before")
            assert share >= LEAST_SHARE
        again = cluster.on(1, state)
        assert again["pid"] != pids[1]
        assert again["cpus"] == list(nump.NumaTopology.detect().node(1).cpu_cores)


def beside(folder: str, base: Any, down: int) -> None:
    """The same with Dask's own cluster: each worker's share on the node that has most of it."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=2, local_directory=folder, dashboard_address=None
        ) as local,
        Client(local, timeout=300) as client,
    ):
        until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == 2, "workers")
        cluster = Cluster(client)
        tell("LocalCluster: two workers with nannies")
        blocks = cluster.send(down, base)
        products = cluster.multiply(blocks, down)
        cluster.done(products, "rows of the product")
        for number, address in cluster.address.items():
            found = client.run(own_pages, workers=[address])[address]
            share = max(found.values()) / sum(found.values())
            tell(
                f"LocalCluster {number}: {share:.4f} of {sum(found.values()) >> 20} MiB of private "
                "pages on the node that has most of them"
            )
        cluster.check_product(products, base)


def main(folder: str) -> None:
    versions = f"distributed {distributed.__version__}, NumPy {np.__version__}"
    tell(f"{versions}, Python {platform.python_version()}, Linux {platform.release()}")
    node_bytes = nump.NumaTopology.detect().node(1).total_memory_bytes
    assert node_bytes
    down = -(-node_bytes * 3 // 2 // (ACROSS * 16 * MIB))
    tell(f"a node has {node_bytes >> 20} MiB, the left matrix {down * ACROSS * 16} MiB")
    base = pattern()
    on_nodes(folder, base, down)
    beside(folder, base, 8)
    tell("done")


if __name__ == "__main__":
    subprocess.run(["sync"], check=False)
    main(*sys.argv[1:])

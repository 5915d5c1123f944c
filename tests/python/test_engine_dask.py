"""Dask's workers on nodes: real clusters, each in a process of its own that is gone afterwards."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
from support import child, sysfs_tree
from support.optional import needed

import numapool as nump

#: Begins each program: no fixed port, workers that are told when nobody waits for them. 15 s after
#: a worker has ended, a cluster closes whatever has its name and is not there yet: another that
#: starts.
START = """
import os, signal, sys, time
import dask
import numpy as np
from distributed import Client
import numapool as nump
from numapool.engines.dask import NodeCluster, NodePlugin, placement

dask.config.set({"distributed.deploy.lost-worker-timeout": "600s"})
PORTS = {"dashboard_address": "127.0.0.1:0"}
NODE = nump.nodes("cpu").ids[0]

def started(**options):
    kwargs = {**PORTS, "death_timeout": 60, **options.pop("worker_kwargs", {})}
    return NodeCluster(NODE, scheduler_kwargs=PORTS, worker_kwargs=kwargs, **options)

def until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)

def look(dask_worker):
    plugin = dask_worker.plugins["numapool"]
    counts = plugin.pool.statistics().by_node.get(plugin.node_id)
    return {
        "pid": os.getpid(),
        "node": plugin.node_id,
        "bound": nump.bound_node(),
        "cpus": sorted(os.sched_getaffinity(0)),
        "hits": counts.hits if counts else 0,
        "misses": counts.misses if counts else 0,
        "trimmed": counts.trimmed_bytes if counts else 0,
        "in_use": counts.in_use_bytes if counts else 0,
        "spilled": plugin.spilled_bytes,
        "on_disk": len(dask_worker.data.slow),
        "least": plugin._least_bytes,
    }

def worker():
    return next(iter(client.run(look).values()))
"""


def output_of(program: str, **env: str) -> list[str]:
    needed("distributed")
    done = child.run(START + program, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_worker_starts_on_its_node_and_does_so_again() -> None:
    """With a nanny, which is bound too: the worker that it starts anew is on the node."""
    assert output_of("""
with started(memory_share=0.25) as cluster, Client(cluster) as client:
    client.wait_for_workers(1, timeout=60)
    (told,) = cluster.scheduler_info["workers"].values()
    node = nump.current_topology().node(NODE)
    cpus = sorted(os.sched_getaffinity(0) & set(node.cpu_cores))
    assert told["name"] == f"node{NODE}"
    assert told["nthreads"] == len(cpus)
    assert told["resources"] == {f"node{NODE}": len(cpus)}
    assert 0 < told["memory_limit"] <= node.total_memory_bytes * 0.25
    first = worker()
    assert first["node"] == NODE and first["cpus"] == cpus
    assert client.submit(os.getpid, resources={f"node{NODE}": 1}).result() == first["pid"]

    os.kill(first["pid"], signal.SIGKILL)
    until(lambda: client.submit(os.getpid, pure=False).result() != first["pid"])
    again = worker()
    assert {**again, "pid": 0} == {**first, "pid": 0}

    cluster.scale(0)
    until(lambda: not client.scheduler_info()["workers"] and not cluster.workers)
    cluster.scale(1)
    client.wait_for_workers(1, timeout=60)
    assert list(cluster.workers) == [f"node{NODE}"] and worker()["cpus"] == cpus
    try:
        cluster.scale(2)
    except ValueError as error:
        print(error)
""") == [
        "n must be at most 1, not 2: 1 on each of the nodes [0]. For more, give NodeCluster more "
        "workers_per_node"
    ]


def test_data_is_received_into_the_pool_and_spilled_under_pressure(tmp_path: Path) -> None:
    """The pressure is announced as the service manager does it."""
    needed("prometheus_client")
    fifo = tmp_path / "pressure"
    os.mkfifo(fifo)
    output_of(
        """
from urllib.request import urlopen

MIB = 1 << 20
with started(nanny=False) as cluster, Client(cluster) as client:
    client.wait_for_workers(1, timeout=60)
    (small,) = client.scatter([np.ones(1000)])
    assert client.submit(np.sum, small).result() == 1000 and worker()["misses"] == 0
    for used in (0, 1):  # the second array gets the memory of the first
        sent = client.scatter(np.arange(MIB))
        assert client.submit(np.sum, sent).result() == MIB * (MIB - 1) // 2
        now = worker()    # others on this machine may have caused a trim
        assert now["hits"] + now["misses"] == used + 1 and (now["hits"] == used or now["trimmed"])
        del sent
        until(lambda: worker()["in_use"] == 0)

    (seen,) = placement(client).values()
    assert (seen.name, seen.node_id, seen.pid) == (f"node{NODE}", NODE, worker()["pid"])
    assert seen.share == seen.bytes_by_node[NODE] / sum(seen.bytes_by_node.values()) > 0.9

    (told,) = cluster.scheduler_info["workers"].values()
    text = urlopen(f"http://127.0.0.1:{told['services']['dashboard']}/metrics").read().decode()
    hits = float(worker()["hits"])
    assert f'numapool_pool_hits_total{{node="{NODE}",pool="dask"}} {hits}' in text, text
    assert "dask_worker_" in text

    kept = client.scatter([np.full(2 * MIB, i) for i in range(3)], hash=False)
    until(lambda: worker()["in_use"] > 3 * 16 * MIB - MIB or worker()["on_disk"])
    with open(os.environ["MEMORY_PRESSURE_WATCH"], "w") as file:
        file.write("!")
    until(lambda: worker()["spilled"] >= 16 * MIB)
    assert worker()["on_disk"]
    assert [client.submit(np.sum, one).result() for one in kept] == [i * 2 * MIB for i in range(3)]

    client.register_plugin(NodePlugin(least_bytes="4MiB"))  # in place of the first
    assert worker()["least"] == 4 * MIB
    sent = client.scatter(np.ones(MIB // 4))
    assert client.submit(np.sum, sent).result() == MIB // 4 and worker()["misses"] == 0
    assert [client.submit(np.mean, one).result() for one in kept] == [0, 1, 2]
""",
        MEMORY_PRESSURE_WATCH=str(fifo),
    )


def test_workers_of_other_clusters_get_it_by_a_preload() -> None:
    output_of("""
import subprocess
from distributed import LocalCluster

with LocalCluster(n_workers=0, **PORTS) as cluster, Client(cluster) as client:
    python = [sys.executable, "-P", "-m"]
    process = subprocess.Popen([
        *python, "numapool", "run", "--per-node", "--node", str(NODE), "--",
        *python, "dask", "worker", cluster.scheduler_address, "--host", "127.0.0.1",
        "--no-nanny", "--no-dashboard", "--death-timeout", "60",
        "--preload", "numapool.engines.dask",
    ], stderr=subprocess.DEVNULL)
    try:
        client.wait_for_workers(1, timeout=60)
        assert worker()["node"] == NODE
    finally:
        process.terminate()
        process.wait()
""")


def test_a_process_that_ends_while_it_is_closed_is_no_error() -> None:
    """Its status comes through the event loop, later than the kernel forgets its id."""
    needed("distributed")
    from distributed.core import Status

    from numapool.engines.dask.cluster import NodeWorker
    from numapool.engines.dask.places import Place

    with subprocess.Popen(["true"]) as ended:
        ended.wait()

    class Ending:
        pid, returncode = ended.pid, None

        def send_signal(self, number: int) -> None:
            raise ProcessLookupError

    async def closed() -> Status:
        worker = NodeWorker("tcp://127.0.0.1:1", "node0", Place(0, 1, 1), "distributed.Nanny", {})
        worker.process = Ending()
        await worker.close()
        return worker.status

    assert asyncio.run(closed()) == Status.closed


def test_without_a_place_for_them_buffers_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("distributed")
    from distributed.comm import tcp

    from numapool.engines.dask import receive

    before = tcp.host_array
    with nump.BufferPool() as pool:
        with monkeypatch.context() as patch:
            patch.setattr(receive, "_NAME", "no_such_name")
            buffers = receive.ReceiveBuffers(pool, None, 0)
            with pytest.warns(nump.PlacementWarning, match="no place for receive buffers"):
                assert not buffers.install()
            assert not buffers.install()
        assert tcp.host_array is before


def test_the_last_receive_buffers_are_the_ones_in_use(node: int) -> None:
    """Several workers may be in one process, and end in any order."""
    needed("distributed")
    from distributed.comm import tcp
    from distributed.protocol import utils

    from numapool.engines.dask.receive import ReceiveBuffers

    before = tcp.host_array
    with nump.BufferPool() as pool:
        first, second = (ReceiveBuffers(pool, node, 1 << 20) for _ in range(2))
        assert first.install() and second.install()
        view = tcp.host_array(3 << 20)
        assert view.nbytes == 3 << 20 and not view.readonly
        assert utils.host_array_from_buffers([b"ab", b"c"]) == b"abc"
        assert pool.statistics().total.misses == 1
        first.remove()
        assert tcp.host_array is second
        second.remove()
        assert tcp.host_array is utils.host_array is before
        assert first.install()
        pool.close()
        assert tcp.host_array(2 << 20).nbytes == 2 << 20  # of the system
        first.remove()
        view.release()


def test_workers_take_places_on_all_nodes_in_turn() -> None:
    needed("distributed")
    from numapool.engines.dask.places import Place, Places

    here, there = Place(0, 4, 8 << 30), Place(2, 2, 4 << 30)
    places = Places([here, there], 2)
    taken: dict[str, Place] = {}
    while len(taken) < len(places):
        name, place = places.next_to(taken)
        taken[name] = place
    assert list(taken.items()) == [
        ("node0-0", here), ("node2-0", there), ("node0-1", here), ("node2-1", there),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="workers at all places already: node0-0, node2-0"):
        places.next_to(taken)
    del taken["node2-0"]
    assert places.next_to(taken) == ("node2-0", there)
    assert list(Places([here, there], 1).next_to([])) == ["node0", here]
    counts = [places.enough(*asked) for asked in ((0, 0), (1, 0), (0, 5), (16 << 30, 1), (0, 99))]
    assert counts == [0, 1, 2, 3, 4]


def test_workers_share_the_memory_of_their_nodes(tmp_path: Path) -> None:
    needed("distributed")
    from numapool.engines.dask.places import memory_by_node

    root = sysfs_tree.write(tmp_path, sysfs_tree.machine("no_memory"))
    machine, most = nump.NumaTopology.from_sysfs(root), 1 << 50
    near, far = 786432 << 10, 524288 << 10
    assert memory_by_node([0, 2], machine, most) == {0: near, 2: far}
    # Node 1 has no memory; that of node 2 is the nearest.
    assert memory_by_node([0, 1], machine, most) == {0: near, 1: far}
    assert memory_by_node([0, 1, 2], machine, most) == {0: near, 1: far // 2, 2: far // 2}
    assert memory_by_node([0, 2], machine, (near + far) // 2) == {0: near // 2, 2: far // 2}


def test_a_worker_releases_its_nodes_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needed("distributed")
    from numapool.engines.dask import plugin

    root = sysfs_tree.write(tmp_path, sysfs_tree.machine("cxl"))  # two nodes with CPUs, of four
    machine = nump.NumaTopology.from_sysfs(root)
    monkeypatch.setattr(plugin, "known_topology", lambda: machine)

    def event(node: int | None, level: nump.PressureLevel) -> nump.PressureEvent:
        return nump.PressureEvent(
            level=level, demand_bytes=1001, trimmed_bytes=0, node_id=node, source="psi",
            stall_s=0.0, origin_monotonic_ns=0,
        )  # fmt: skip

    some, relief = nump.PressureLevel.MODERATE, nump.PressureLevel.NONE
    worker = plugin.NodePlugin()
    of_one, of_two, of_none = [501, 1001, 0], [1001, 1001, 1001], [1001, 1001, 1001]
    for bound, shares in (((1,), of_one), ((0, 1), of_two), ((), of_none)):
        worker.node_ids = bound
        assert [worker._share_of(event(node, some)) for node in (None, 1, 0)] == shares
        assert worker._share_of(event(None, relief)) == 0

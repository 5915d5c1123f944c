"""Running near the data, and asking what a machine can do."""

from __future__ import annotations

import json
from concurrent.futures import Executor, Future
from typing import Any, assert_type

import numapool as nump

node = nump.NumaTopology.detect().nodes[0].node_id

with nump.run_on(node) as placement:
    assert_type(placement, nump.CpuPlacement)
    assert_type(placement.node_id, int)
    assert_type(placement.cpus, tuple[int, ...])


@nump.run_on(node)
def near(count: int) -> str:
    return "x" * count


assert_type(near(3), str)

with nump.NodeExecutor(node, max_workers=2, initializer=print, initargs=("in place",)) as executor:
    as_any: Executor = executor
    future = executor.submit(near, 2)
    assert_type(future, Future[str])
    assert_type(future.result(), str)
    assert_type(list(executor.map(near, [1, 2])), list[str])
    assert_type(executor.memory_node, int | None)
    assert_type(executor.max_workers, int)

bound = nump.bind_process(node)
assert_type(bound, nump.ProcessBinding)
assert_type(bound.thread_ids, tuple[int, ...])
assert_type(bound.not_done, tuple[str, ...])

with nump.children_on(node) as placement:
    assert_type(placement, nump.CpuPlacement)
assert_type(nump.children_on(node)(near)(3), str)
nump.children_on("socket:0")
assert_type(nump.bound_node(), int | None)


def on_processes(pool: nump.NodeProcessPool) -> None:
    as_any: Executor = pool
    assert isinstance(as_any, Executor)
    assert_type(pool.submit(near, 2, node=node), Future[str])
    assert_type(pool.submit(near, 2, node=[0, "local"]), Future[str])
    assert_type(pool.submit_near("/", near, 2), Future[str])
    assert_type(list(pool.map(near, [1, 2])), list[str])
    assert_type(pool.nodes, tuple[int, ...])


nump.NodeProcessPool([node], 2, initializer=print).shutdown()

where = nump.process_placement()
assert_type(where, nump.ProcessPlacement)
assert_type(where.bytes_by_use, dict[str, dict[int, int]])
assert_type(where.remote_share, float | None)

moved = nump.migrate_process(where.pid, None, [node])
assert_type(moved, nump.ProcessMigration)
assert_type(moved.kept_bytes, dict[str, int])

job = nump.launch(["true"], per=[node], grace_s=1)
assert_type(job, nump.LaunchResult)
assert_type(job.statuses, tuple[int, ...])
assert_type(job.failed_rank, int | None)

for one in nump.capabilities():
    assert_type(one, nump.Capability)
    assert_type(one.available, bool | None)
    assert_type(one.detail + one.remedy, str)
    assert_type(one.essential, bool)
    assert_type(one.to_dict(), dict[str, Any])
    json.dumps(one.to_dict())

"""Every parameter and option that names nodes takes what :func:`numapool.nodes` takes."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib
import inspect
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import child, sysfs_tree
from support.optional import needed
from typer.testing import CliRunner

import numapool as nump
from numapool.cli.app import app
from numapool.cli.run import start
from numapool.cli.run_options import OPTIONS
from numapool.machine import node_set
from numapool.machine.topology import known_topology
from numapool.processes import pool as process_pool

#: What parameters that name nodes are called.
NAMES = {"node", "nodes", "from_nodes", "to_nodes", "from_node", "to_node"}
Call = Callable[[Any], object]

_BYTES = 4096


def entered(block: Any) -> None:
    with block:
        pass


def closed(made: Any) -> None:
    made.close()


def in_pool(call: Callable[[nump.BufferPool, Any], object]) -> Call:
    def run(spec: Any) -> None:
        with nump.BufferPool() as pool:
            call(pool, spec)

    return run


def migrated(spec: Any) -> None:
    with nump.NumaAllocator().allocate(_BYTES) as buffer:
        buffer.migrate(spec)


def shared_and_migrated(spec: Any) -> None:
    with nump.SharedNodeBuffer(_BYTES) as buffer:
        buffer.migrate(spec)


def executor(spec: Any) -> None:
    nump.NodeExecutor(spec, max_workers=1).shutdown()


def processes(spec: Any) -> None:
    nump.NodeProcessPool(spec).shutdown()


def submitted(spec: Any) -> None:
    with nump.NodeProcessPool() as pool:
        assert pool.submit(abs, -3, node=spec).result() == 3


def in_a_task(pool: nump.BufferPool, spec: Any) -> None:
    async def acquire() -> None:
        (await pool.acquire_async(_BYTES, spec)).close()

    asyncio.run(acquire())


def streamed(spec: Any) -> None:
    with nump.stream(__file__, block_bytes=1 << 16, node=spec) as blocks:
        next(blocks).close()


def bound(spec: Any) -> None:  # for good: in a process of its own
    child.check(f"""
        import warnings
        import numapool as nump
        with warnings.catch_warnings(record=True) as told:
            nump.bind_process({_text(spec)})
        assert not told, told  # of one node
    """)


def _text(spec: Any) -> str:
    return f"nump.{spec!r}" if isinstance(spec, nump.NodeSet) else repr(spec)


def moved(from_nodes: Any, to_nodes: Any) -> None:
    nump.migrate_process(os.getpid(), from_nodes, to_nodes)


#: What is called by each parameter that names nodes.
CALLS: dict[str, Call] = {
    "BufferPool.acquire(node)": in_pool(lambda pool, spec: pool.acquire(_BYTES, spec).close()),
    "BufferPool.acquire_async(node)": in_pool(in_a_task),
    "BufferPool.reserve(node)": in_pool(lambda pool, spec: pool.reserve(_BYTES, 1, spec)),
    "BufferPool.ring(node)": in_pool(lambda pool, spec: pool.ring(_BYTES, 2, node=spec).close()),
    "BufferPool.trim(node)": in_pool(lambda pool, spec: pool.trim(node=spec)),
    "NodeBuffer.migrate(node)": migrated,
    "NodeExecutor(node)": executor,
    "NodeProcessPool(nodes)": processes,
    "NodeProcessPool.submit(node)": submitted,
    "NumaAllocator.allocate(node)": lambda spec: closed(nump.NumaAllocator().allocate(1, spec)),
    "NumaAllocator.allocate_interleaved(nodes)": lambda spec: closed(
        nump.NumaAllocator().allocate_interleaved(_BYTES, spec)
    ),
    "SharedNodeBuffer(node)": lambda spec: closed(nump.SharedNodeBuffer(_BYTES, spec)),
    "SharedNodeBuffer.migrate(node)": shared_and_migrated,
    "arrow_buffer(node)": lambda spec: needed("pyarrow") and nump.arrow_buffer(64, node=spec),
    "asarray(node)": lambda spec: nump.asarray([1], node=spec),
    "bind_process(node)": bound,
    "children_on(node)": lambda spec: entered(nump.children_on(spec)),
    "empty(node)": lambda spec: nump.empty(3, node=spec),
    "full(node)": lambda spec: nump.full(3, 1, node=spec),
    "memory_policy(node)": lambda spec: entered(nump.memory_policy(spec)),
    "migrate(node)": lambda spec: nump.migrate(bytearray(3 * _BYTES), spec),
    "migrate_process(from_nodes)": lambda spec: moved(spec, 0),
    "migrate_process(to_nodes)": lambda spec: moved([0], spec),
    "numpy_allocator(node)": lambda spec: entered(nump.numpy_allocator(spec)),
    "run_on(node)": lambda spec: entered(nump.run_on(spec)),
    "set_numpy_allocator(node)": lambda spec: contextvars.copy_context().run(
        nump.set_numpy_allocator, spec
    ),
    "stream(node)": streamed,
    "zeros(node)": lambda spec: nump.zeros(3, node=spec),
}

_MACHINE = "asks a given machine, which may be a recorded one; words are for the running one"
_MADE = "made by a function that takes the nodes"
#: Those that take an id alone, and why.
IDS_ALONE = {
    "BufferRing(nodes)": _MADE,
    "FileStream(node)": _MADE,
    "NumaTopology.distance(from_node)": _MACHINE,
    "NumaTopology.distance(to_node)": _MACHINE,
    "NumaTopology.nearest(node)": _MACHINE,
    "NumaTopology.node(node)": _MACHINE,
    "PressureReading(nodes)": "a result: what is known of each node",
    "ProcessMigration(from_nodes)": "a result",
    "ProcessMigration(to_nodes)": "a result",
}


def torch_tensor(spec: Any) -> None:
    import numpy as np

    needed("numapool.arrays.torch").from_numpy(np.zeros(9), node=spec)


def pinned_pool(spec: Any) -> None:
    module = needed("numapool.arrays.pinned_pool")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CudaDevice", lambda _: SimpleNamespace())
        patch.setattr(module, "_node_of", lambda *_: None)  # of the GPU
        assert module.PinnedPool(node=spec).node_ids or spec is None


def dask_cluster(spec: Any) -> None:
    from distributed.deploy.spec import SpecCluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SpecCluster, "__init__", lambda *_, **__: None)
        patch.setattr(SpecCluster, "__del__", lambda _: None)
        assert importlib.import_module("numapool.engines.dask").NodeCluster(spec).nodes


def dask_plugin(spec: Any) -> None:
    plugin = importlib.import_module("numapool.engines.dask").NodePlugin(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(plugin), "_watch", lambda *_: None)
        plugin.setup(SimpleNamespace(memory_manager=None))
        assert plugin.node_ids
        plugin.teardown(None)


def of_engine(module: str, name: str) -> Call:
    return lambda spec: getattr(importlib.import_module(module), name)(spec)


#: The same for what only users of other libraries load: module, what it needs, calls.
ENGINES: dict[str, tuple[str | None, dict[str, Call]]] = {
    "numapool.arrays.torch": (
        "torch",
        {
            "PinnedPool(node)": pinned_pool,
            "empty(node)": lambda spec: needed("numapool.arrays.torch").empty(3, node=spec),
            "from_numpy(node)": torch_tensor,
            "worker_init(nodes)": of_engine("numapool.arrays.torch", "worker_init"),
            "zeros(node)": lambda spec: needed("numapool.arrays.torch").zeros(3, node=spec),
        },
    ),
    "numapool.engines.dask": (
        "distributed",
        {"NodeCluster(nodes)": dask_cluster, "NodePlugin(node)": dask_plugin},
    ),
    "numapool.engines.joblib": (
        "joblib",
        {"NodeBackend(nodes)": of_engine("numapool.engines.joblib", "NodeBackend")},
    ),
    "numapool.engines.ray": (
        None,
        {"node_runtime_env(node)": of_engine("numapool.engines.ray", "node_runtime_env")},
    ),
}


def parameters_of(module: Any) -> Iterator[str]:
    """Yield ``f(node)`` and ``Class.method(node)`` for all that is public in a module."""
    for name in module.__all__:
        one = getattr(module, name)
        members = {name: one}
        if inspect.isclass(one):
            members |= {f"{name}.{key}": getattr(one, key) for key in dir(one) if key[0] != "_"}
        for key, member in members.items():
            with contextlib.suppress(TypeError, ValueError):  # no function, or none of ours
                for parameter in inspect.signature(member).parameters.values():
                    if parameter.name in NAMES:
                        yield f"{key}({parameter.name})"
                    elif "ArrayOptions" in str(parameter.annotation):
                        yield f"{key}(node)"


def test_every_parameter_that_names_nodes_is_here() -> None:
    assert sorted(parameters_of(nump)) == sorted([*CALLS, *IDS_ALONE])


@pytest.mark.parametrize("module", ENGINES)
def test_those_of_other_libraries_too(module: str) -> None:
    library, calls = ENGINES[module]
    if library is not None:
        needed(library)
    assert sorted(parameters_of(importlib.import_module(module))) == sorted(calls)


@pytest.fixture(autouse=True)
def threads_for_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        process_pool, "ProcessPoolExecutor", lambda workers, **_: ThreadPoolExecutor(workers)
    )


def forms_of(node: int) -> list[Any]:
    return [node, str(node), [node], "all", "local", nump.NodeSet([node]), [str(node), "local"]]


def _with(library: str | None, call: Call) -> Call:
    return lambda spec: (library and needed(library), call(spec))


_ALL = {
    **CALLS,
    **{
        f"{module}.{name}": _with(library, call)
        for module, (library, calls) in ENGINES.items()
        for name, call in calls.items()
    },
}
each_call = pytest.mark.parametrize("call", list(_ALL.values()), ids=list(_ALL))


@each_call
def test_each_takes_ids_words_lists_and_sets(node: int, call: Call) -> None:
    if len(known_topology().nodes) > 1:
        pytest.skip("says which nodes there are by a machine of one")
    for spec in forms_of(node)[:: 3 if call is bound else 1]:
        call(spec)


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> nump.NumaTopology:
    folder = tmp_path_factory.mktemp("two_socket")
    return nump.NumaTopology.from_sysfs(sysfs_tree.write(folder, sysfs_tree.machine("two_socket")))


@pytest.fixture
def two_sockets(monkeypatch: pytest.MonkeyPatch, larger: nump.NumaTopology) -> nump.NumaTopology:
    """Words of this machine name the nodes of a larger one."""
    monkeypatch.setattr(node_set, "current_topology", lambda: larger)
    return larger


@pytest.mark.usefixtures("two_sockets")
@each_call
def test_several_nodes_are_never_too_many(call: Call) -> None:
    if call is bound or len(known_topology().nodes) > 1:
        pytest.skip("this machine is to have one of the two nodes")
    # The core knows the machine as it is.
    with contextlib.suppress(nump.NodeNotFoundError):
        call("all")


#: Those that cannot do without a node, and say which one stands for None; bind_process does, too,
#: but is called where there is one node. Elsewhere None is what naming no node means.
_WARN = {
    "NodeBuffer.migrate(node)",
    "NodeExecutor(node)",
    "SharedNodeBuffer.migrate(node)",
    "children_on(node)",
    "memory_policy(node)",
    "migrate(node)",
    "migrate_process(to_nodes)",
    "numapool.engines.ray.node_runtime_env(node)",
    "run_on(node)",
}


@pytest.mark.parametrize("name", _ALL)
def test_each_takes_none_for_a_device_of_unknown_node(
    name: str, two_sockets: nump.NumaTopology
) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(1 if _ALL[name] is bound else 2):
            _ALL[name](None)
    texts = [str(one.message) for one in told if one.category is nump.PlacementWarning]
    said = [one for one in texts if "is None, which names no node" in one]
    assert len(said) == (name in _WARN)


@pytest.mark.parametrize("name", _ALL)
def test_each_takes_near_a_device_of_unknown_node(
    name: str, monkeypatch: pytest.MonkeyPatch, two_sockets: nump.NumaTopology, tmp_path: Path
) -> None:
    if _ALL[name] is bound or len(known_topology().nodes) > 1:
        pytest.skip("this machine is to have one of the two nodes")
    monkeypatch.setattr(node_set, "device_node", lambda _: None)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            _ALL[name](f"near:{tmp_path}")
    texts = [str(one.message) for one in told if one.category is nump.PlacementWarning]
    assert len(texts) == 1


#: Options of commands that name nodes, as the commands say.
NODES = {
    *(("run", name) for name, takes, _ in OPTIONS if takes == "NODES"),
    *(("migrate", name) for name in ("--from", "--to")),
    ("watch", "--node"),  # one node, by an id or a word
}


def test_every_option_that_names_nodes_is_here() -> None:
    import typer

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = {
        (name, option.opts[-1])
        for name, command in commands.items()
        for option in command.params
        if option.metavar == "NODES" or option.name in NAMES
    }
    assert found == NODES


@pytest.mark.parametrize(("command", "option"), sorted(NODES))
def test_each_option_takes_ids_and_words(node: int, command: str, option: str) -> None:
    for words in (str(node), f"{node}-{node}", "all", "local", "+0", f"{node},local"):
        if command == "run":
            assert start([option, words, "--dry-run", "--", "true"]) == 0
            continue
        others = ["--to", str(node)] if option == "--from" else []
        given = ["migrate", str(os.getpid()), *others]
        if command == "watch":
            given = ["watch", "--updates", "1", "--interval", "0.05"]
        done = CliRunner().invoke(app, [*given, option, words])
        assert done.exit_code == 0, done.output

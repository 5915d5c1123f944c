"""``import numapool`` is light, and gives the names of the API."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys

import pytest
from support import docs

import numapool as nump

# What the package may load of the standard library, over Python's versions, apart from the modules
# with an underscore that these bring along: every program that imports it pays for more.
LIGHT = (
    "abc annotationlib ast atexit collections contextlib copy copyreg dataclasses dis enum errno "
    "functools genericpath importlib inspect itertools keyword linecache math ntpath opcode "
    "operator os posixpath re reprlib select stat threading time token tokenize types typing "
    "warnings weakref"
)

NAMES: dict[str, dict[str, list[str]]] = {
    "topology": {
        "NumaTopology": ["detect", "from_sysfs"],
        "NumaNode": ["free_memory_bytes", "local_devices"],
    },
    "allocation": {
        "NumaAllocator": ["allocate", "allocate_interleaved", "numa_aware", "topology"],
        "NodeBuffer": [
            "address",
            "bound",
            "close",
            "migrate",
            "nbytes",
            "node_id",
            "placement",
            "requested_node",
            "step",
        ],
        "AllocationStep": ["PREFERRED", "NEAREST", "ANY", "UNBOUND"],
        "Placement": [],
        "memory_policy": [],
    },
    "pools": {
        "BufferPool": ["acquire", "close", "reserve", "ring", "statistics", "trim"],
        "BufferRing": [],
        "PoolStatistics": [],
    },
    "balloon": {
        "BalloonDriver": [
            "close",
            "driver",
            "features",
            "hypervisor",
            "available",
            "reason",
            "subscribe",
            "report_memory_released",
            "state",
        ],
        "BalloonState": ["features", "inflated_bytes", "target_bytes"],
        "ReleaseReport": ["compacted", "mechanism", "page_order", "returned_bytes"],
        "HypervisorInfo": ["evidence", "kind", "product", "vendor_signature"],
        "detect_hypervisor": [],
    },
    "arrays": {"asarray": [], "empty": [], "full": [], "zeros": []},
    "running": {
        "run_on": [],
        "NodeExecutor": ["cpus", "map", "memory_node", "node_id", "shutdown", "submit", "workers"],
        "bind_process": [],
        "CpuPlacement": ["cpus", "node_id", "requested_node"],
        "ProcessBinding": ["cpus", "memory_node", "not_done", "thread_ids"],
    },
    "processes": {
        "children_on": [],
        "bound_node": [],
        "NodeProcessPool": ["map", "nodes", "shutdown", "submit", "submit_near"],
    },
    "devices": {
        "Device": ["evidence", "kind", "name", "node_id", "pci_address"],
        "DeviceLocality": ["legs", "node_id", "nodes", "path", "reason", "steps"],
        "DeviceStep": ["depth", "kind", "name", "node_id", "note", "path"],
        "NumaAllocator": ["allocate_near", "device_locality", "device_node"],
        "device_locality": [],
        "device_node": [],
    },
    "capabilities": {
        "capabilities": [],
        "Capability": ["available", "detail", "essential", "name", "remedy"],
    },
    "errors": {
        "NumapoolError": [],
        "NodeNotFoundError": [],
        "PlacementError": [],
        "PlacementWarning": [],
        "PoolExhaustedError": [],
        "TopologyError": [],
        "UnsupportedError": [],
    },
}


@pytest.mark.parametrize("part", NAMES)
def test_the_names_of_the_api(part: str) -> None:
    for name, attributes in NAMES[part].items():
        assert name in nump.__all__
        found = getattr(nump, name)
        assert inspect.getdoc(found)
        for attribute in attributes:
            assert hasattr(found, attribute), f"{name}.{attribute}"


def test_all_lists_what_is_there_once_and_in_order() -> None:
    assert list(nump.__all__) == sorted(set(nump.__all__))
    for name in nump.__all__:
        assert getattr(nump, name) is not None
    public = {name for name in vars(nump) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(nump, name))}
    assert public - modules == set(nump.__all__) - {"__version__"}


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (nump.NodeNotFoundError, (nump.NumapoolError, ValueError)),
        (nump.TopologyError, (nump.NumapoolError, ValueError)),
        (nump.PlacementError, (nump.NumapoolError, MemoryError)),
        (nump.PoolExhaustedError, (nump.NumapoolError, MemoryError)),
        (nump.UnsupportedError, (nump.NumapoolError, OSError)),
        (nump.PlacementWarning, (UserWarning,)),
    ],
)
def test_errors_are_caught_as_the_usual_ones(error: type, bases: tuple[type, ...]) -> None:
    assert issubclass(error, bases[0])
    assert all(issubclass(error, base) for base in bases)


def loaded_by(statement: str) -> set[str]:
    """Return all modules of an interpreter that ran a statement, those of its start included."""
    code = f"""if True:
        import sys
        sys.path[:] = {sys.path!r}
        {statement}
        print(*sys.modules)
    """
    # -S: what site finds to load in this environment is nobody's affair here.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_the_import_loads_the_errors_and_the_core() -> None:
    """A core that cannot be loaded fails the import; everything else waits until it is used."""
    more = loaded_by("import numapool") - loaded_by("pass")
    own = {name for name in more if name.partition(".")[0] == "numapool"}
    assert own == {"numapool", "numapool.base", "numapool.base.errors", "numapool._core"}
    assert not more & {"typing", "dataclasses", "contextlib", "inspect", "threading"}


def test_the_first_use_loads_nothing_that_is_not_needed() -> None:
    more = loaded_by("import numapool; numapool.BufferPool") - loaded_by("pass")
    tops = {name.partition(".")[0] for name in more if not name.startswith("_")}
    assert "numapool" in tops
    assert tops - {"numapool"} <= set(LIGHT.split())


def test_a_program_that_starts_another_loads_the_errors_alone() -> None:
    """The rest is loaded by the first use of its names."""
    more = loaded_by("sys.argv = ['numapool', 'run']; import numapool") - loaded_by("pass")
    own = {name for name in more if name.partition(".")[0] == "numapool"}
    assert own == {"numapool", "numapool.base", "numapool.base.errors"}


def test_after_the_first_use_no_file_is_needed() -> None:
    """A process may run out of descriptors, or become one that may not read the package."""
    loaded = loaded_by("import numapool; numapool.PlacementError; numapool.bound_node")
    used = "numapool.zeros; numapool.BufferPool().acquire(1).placement(); numapool.PressureMonitor"
    late = loaded_by(f"import numapool; {used}") - loaded
    assert not {name for name in late if name.startswith("numapool")}


def test_what_is_loaded_by_itself_is_what_the_security_page_says() -> None:
    """A program that gives up the right to read files uses a name of each before."""
    told = re.search(r"and each of these, [^:]*: (.+)\.\n", (docs.DOCS / "SECURITY.md").read_text())
    assert told is not None
    modules = {nump._MODULES[name] for name in re.findall(r"`(\w+)`", told[1])}
    assert modules == nump._COSTLY
    # None is loaded by the rest anyway.
    loaded = loaded_by("import numapool; numapool.current_topology")
    assert not loaded & {f"numapool.{module}" for module in nump._COSTLY}


def test_what_a_program_puts_in_the_place_of_a_name_stays() -> None:
    done = "import numapool; numapool.stream = 'mine'; numapool.pi = numapool.launch"
    assert "numapool.storage.stream" in loaded_by(f"{done}; assert numapool.stream == 'mine'")


def test_a_name_that_is_not_there_loads_nothing() -> None:
    """Tools ask every module for names of their own."""
    asked = "hasattr(numapool, '__wrapped__'), hasattr(numapool, 'nothing')"
    assert loaded_by(f"import numapool; {asked}") == loaded_by("import numapool")


def test_names_are_loaded_from_where_type_checkers_find_them() -> None:
    found = {}
    for node in ast.walk(ast.parse(inspect.getsource(nump))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found.update({one.name: node.module for one in node.names})
    late = {name: f"numapool.{module}" for name, module in nump._MODULES.items()}
    at_once = {"numapool.base", "numapool.base.errors", "importlib"}
    assert late == {name: module for name, module in found.items() if module not in at_once}
    assert set(found) - {"import_module", "renamed"} == set(nump.__all__)


def test_looking_at_the_machine_loads_nothing_more() -> None:
    loaded = loaded_by("import numapool; numapool.NumaTopology.detect().to_dict()")
    assert not loaded & {"numpy", "rich", "typer", "click", "pathlib", "asyncio", "json", "ctypes"}


def test_numpy_is_loaded_with_the_first_array() -> None:
    assert "numpy" not in loaded_by("import numapool; numapool.NumaAllocator().allocate(1)")
    assert "numpy" in loaded_by("import numapool; numapool.zeros(1)")


def test_the_module_links_no_numa_library() -> None:
    """One would run code of its own as the module is loaded."""
    file = sys.modules["numapool._core"].__file__
    assert file is not None
    read = ["readelf", "--dynamic", "--wide", file]
    section = subprocess.run(read, capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", section)
    assert any(name.startswith("libc.") for name in needed)
    assert not [name for name in needed if "numa" in name]

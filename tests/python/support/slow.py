"""The slowest tests, which `make check` leaves out.

Chosen by ``pytest --durations`` on a busy machine: these took longest there, about two seconds and
more without its load by estimate. A module is listed whole where most of its tests are slow.
"""

from __future__ import annotations

import pytest

from . import systems

#: The beginnings of what pytest calls the tests.
SLOW = (
    "test_cli.py::test_no_standard_output_at_all",
    "test_cli_bench.py",
    "test_cli_topo.py::test_files[server",
    "test_cli_topo.py::test_nothing_overlaps_and_nothing_leaves_the_page[64",
    "test_containers.py",
    "test_dlpack.py::test_torch_gets_the_same_bytes",
    "test_engine_dask.py",
    "test_engine_joblib.py",
    "test_engine_torchrun.py",
    "test_examples.py",
    "test_node_buffer.py::test_many_cycles_leak_neither_memory_nor_descriptors",
    "test_placement_of.py::test_tensors",
    "test_pool.py::test_hundreds_of_thousands_of_small_buffers",
    "test_pool_model.py",
    "test_pool_process.py::test_the_interpreter_ends_with_buffers_alive",
    "test_pressure_process.py",
    "test_recipes.py",
    "test_running.py::test_one_object_serves_many_threads_at_once",
    "test_shared.py::test_children_of_multiprocessing_share_it",
    "test_soak.py",
    "test_surface.py::test_any_arguments",
    "test_topology_properties.py::test_no_tree_crashes",
    "test_torch.py",
    "test_typing.py",
)


def is_slow(item: pytest.Item) -> bool:
    """Return whether the test is one of those."""
    return systems.short_name(item.nodeid).startswith(SLOW)

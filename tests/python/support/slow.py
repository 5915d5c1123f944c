"""The tests that `make check` leaves out: the slowest, and those of the installed wheel.

The slowest are chosen by ``pytest --durations`` on a busy machine: these took longest there, about
two seconds and more without its load by estimate. A module is listed whole where most of its tests
are slow.
"""

from __future__ import annotations

import pytest

from . import systems

#: The beginnings of what pytest calls the tests.
SLOW = (
    "test_bind_process.py::test_limits_from_outside_hold_in_programs_that_a_bound_process_starts",
    "test_bind_process.py::test_programs_that_a_bound_process_starts_may_bind_elsewhere",
    "test_bind_process.py::test_threads_that_start_meanwhile_are_caught",
    "test_capture.py::test_the_command_records_this_machine",
    "test_cli.py::test_a_full_disk_is_an_error",
    "test_cli.py::test_a_reader_that_has_left_is_no_error",
    "test_cli.py::test_errors_are_one_line_on_standard_error",
    "test_cli.py::test_help",
    "test_cli.py::test_no_standard_output_at_all",
    "test_cli.py::test_shells_complete_commands_and_options",
    "test_cli.py::test_wrong_usage",
    "test_cli_bench.py",
    "test_cli_screens.py::test_a_character_that_the_terminal_lacks_is_escaped",
    "test_cli_screens.py::test_a_terminal_of_ascii",
    "test_cli_screens.py::test_watch_writes_each_update_into_a_pipe_at_once",
    "test_cli_topo.py::test_files[server",
    "test_cli_topo.py::test_nothing_overlaps_and_nothing_leaves_the_page[64",
    "test_cli_watch.py",
    "test_containers.py",
    "test_dlpack.py::test_torch_gets_the_same_bytes",
    "test_docs.py::test_every_block_of_python_runs_alone",
    "test_engine_dask.py",
    "test_engine_joblib.py",
    "test_engine_torchrun.py",
    "test_examples.py",
    "test_migrate_process.py::test_the_command",
    "test_node_buffer.py::test_many_cycles_leak_neither_memory_nor_descriptors",
    "test_nodes_everywhere.py::test_those_of_other_libraries_too",
    "test_placement_of.py::test_tensors",
    "test_pool.py::test_hundreds_of_thousands_of_small_buffers",
    "test_pool_model.py",
    "test_pool_process.py::test_the_interpreter_ends_with_buffers_alive",
    "test_pressure_process.py",
    "test_process_placement.py::test_ps_says_what_is_not_there",
    "test_recipes.py",
    "test_running.py::test_one_object_serves_many_threads_at_once",
    "test_shared.py::test_children_of_multiprocessing_share_it",
    "test_soak.py",
    "test_surface.py::test_any_arguments",
    "test_topology_properties.py::test_no_tree_crashes",
    "test_torch.py",
    "test_typing.py",
)

#: They ask for a wheel or for a module that `make dev` does not build, or which modules an import
#: loads: an editable install has a loader, which loads modules of its own.
INSTALLED = (
    "test_cli_run.py::test_little_is_loaded_before_the_program",
    "test_import.py::test_a_name_that_is_not_there_loads_nothing",
    "test_import.py::test_after_the_first_use_no_file_is_needed",
    "test_import.py::test_looking_at_the_machine_loads_nothing_more",
    "test_import.py::test_numpy_is_loaded_with_the_first_array",
    "test_import.py::test_the_first_use_loads_nothing_that_is_not_needed",
    "test_import.py::test_the_import_loads_the_errors_and_the_core",
    "test_import.py::test_what_a_program_puts_in_the_place_of_a_name_stays",
    "test_import.py::test_what_is_loaded_by_itself_is_what_the_security_page_says",
    "test_unsupported.py",
    "test_wheel.py",
)


def is_slow(item: pytest.Item) -> bool:
    """Return whether the test is one of the slowest."""
    return systems.short_name(item.nodeid).startswith(SLOW)


def needs_an_installed_wheel(item: pytest.Item) -> bool:
    """Return whether the test would fail with numapool installed by `make dev`."""
    return systems.short_name(item.nodeid).startswith(INSTALLED)

"""What of these tests is left to Linux, and why. Everything else runs on Windows too."""

from __future__ import annotations

import sys
from pathlib import Path

ON_LINUX = sys.platform == "linux"
ON_WINDOWS = sys.platform == "win32"

_TREES = "reads trees of Linux's /sys and /proc, with symbolic links"
_CPUS = "needs sched_setaffinity(2)"
_PROC = "asks the kernel by /proc, fork(2) or signals"
_SECCOMP = "refuses system calls by a seccomp filter"
_SCRIPT = "starts the script that pip makes; the test bed unpacks the wheel"
_DIRECT = "tests direct I/O (O_DIRECT), and limits by setrlimit(2)"

#: Modules that are not collected elsewhere.
MODULES = {
    "test_arrow": "needs pyarrow, which the Windows test bed does not have",
    "test_balloon": _TREES,
    "test_before_populate_write": _SECCOMP,
    "test_bench_kernels": _CPUS,
    "test_bind_process": _CPUS,
    "test_capabilities": _PROC,
    "test_capture": _TREES,
    "test_children": _CPUS,
    "test_cli_bench": "draws, and asks a pseudo-terminal",
    "test_cli_device": _TREES,
    "test_cli_doctor": _SECCOMP,
    "test_cli_info": _TREES,
    "test_cli_many_nodes": _TREES,
    "test_cli_quick": _TREES,
    "test_cli_report": _PROC,
    "test_cli_run": _PROC,
    "test_cli_screens": _TREES,
    "test_cli_topo": _TREES,
    "test_cli_watch": _PROC,
    "test_containers": _SECCOMP,
    "test_cpu_groups": _TREES,
    "test_dashboards": "needs PyYAML, which the Windows test bed does not have",
    "test_device_trees": _TREES,
    "test_devices": _TREES,
    "test_docs": "runs the examples of the documentation, which are for Linux",
    "test_engine_dask": "needs Dask, which the Windows test bed does not have",
    "test_engine_joblib": "needs joblib, which the Windows test bed does not have",
    "test_engine_mpi": _CPUS,
    "test_engine_ray": _CPUS,
    "test_engine_torchrun": _PROC,
    "test_examples": "runs the examples for Linux",
    "test_executor": _CPUS,
    "test_executor_numpy": _CPUS,
    "test_gpus": _TREES,
    "test_hypervisor": _TREES,
    "test_interrupt": _PROC,
    "test_limits": "limits itself by setrlimit(2)",
    "test_locked_memory": "needs mlockall(2)",
    "test_launch": _PROC,
    "test_layout": "reads the sources, which are the same everywhere",
    "test_locks": _PROC,
    "test_migrate_process": _PROC,
    "test_memory_kinds": _TREES,
    "test_nodes_everywhere": "calls what Linux alone has",
    "test_placement_of": "compares with numa_maps",
    "test_policy": "needs set_mempolicy(2)",
    "test_pool_process": _PROC,
    "test_pressure": "makes deficits by cgroups and a FIFO",
    "test_pressure_process": _PROC,
    "test_pressure_v1": _PROC,
    "test_probes": _TREES,
    "test_process_life": _PROC,
    "test_process_placement": _PROC,
    "test_project": "reads the project's own files, which are the same everywhere",
    "test_rehearsal": _TREES,
    "test_read_many": _SECCOMP,
    "test_recipes": "needs torch and pyarrow, which the Windows test bed does not have",
    "test_refused": _SECCOMP,
    "test_running": _CPUS,
    "test_shared": "needs memfd_create(2)",
    "test_soak": "takes long under Wine, and watches /proc",
    "test_sources": "reads the sources, which are the same everywhere",
    "test_stale": "runs the CMake of Linux",
    "test_starter": _PROC,
    "test_storage": _DIRECT,
    "test_stream": _DIRECT,
    "test_stream_process": _PROC,
    "test_torch": "needs torch, which the Windows test bed does not have",
    "test_topology_errors": _TREES,
    "test_topology_machines": _TREES,
    "test_topology_pieces": _TREES,
    "test_topology_properties": _TREES,
    "test_typing": "needs mypy; the types are the same everywhere",
    "test_unsupported": "looks at the module built for Linux",
    "test_watch_processes": _PROC,
    "test_wheel": "looks at the wheel for Linux",
    "test_wheel_matrix": "tests scripts that run on Debian",
}

#: Tests, by the beginning of what pytest calls them.
TESTS: dict[str, str] = {
    "test_allocator.py::test_a_lock_that_is_refused": _SECCOMP,
    "test_allocator.py::test_interleaved_over_all_nodes": "Windows interleaves nothing",
    "test_allocator.py::test_locked_memory_counts_as_locked": _PROC,
    "test_allocator.py::test_numa_maps_counts_the_same_bytes": "compares with numa_maps",
    "test_allocator.py::test_without_a_node_the_calling_threads_is_used": _CPUS,
    "test_arguments.py::test_every_parameter": "asks for what Linux alone has",
    "test_bench.py::TestMachine::test_quotas": _TREES,
    "test_cli.py::test_a_full_disk_is_an_error": "writes to /dev/full",
    "test_cli.py::test_a_reader_that_has_left_is_no_error[ps": "lists processes by /proc",
    "test_cli.py::test_a_reader_that_leaves_is_no_error": _TREES,
    "test_cli.py::test_errors_are_one_line": _TREES,
    "test_cli.py::test_help[script]": _SCRIPT,
    "test_cli.py::test_no_standard_output_at_all": "closes descriptors by a shell",
    "test_cli.py::test_version[script]": _SCRIPT,
    "test_dlpack.py::test_torch": "needs torch, which the Windows test bed does not have",
    "test_html.py::test_every_result_is_html": _TREES,
    "test_html.py::test_figures_are_there": _TREES,
    "test_import.py::test_the_module_links": "reads an ELF file",
    "test_logging.py::test_a_real_degradation_reaches_the_log": _SECCOMP,
    "test_logging.py::test_pressure_is_logged_by_level": "makes pressure by a FIFO",
    "test_metrics.py::test_locality": _PROC,
    "test_metrics.py::test_nodes_that_come_are_told": _CPUS,
    "test_metrics.py::test_opentelemetry": "needs packages that the Windows test bed does not have",
    "test_metrics.py::test_this_process_is_told_as_the_kernel": _PROC,
    "test_node_buffer.py::test_a_child_has_its_own_copy": _PROC,
    "test_numpy_allocator.py::test_both_sides_of_a_fork_go_on": _PROC,
    "test_pool_async.py::test_in_the_child_of_a_fork": _PROC,
    "test_pool_async.py::test_nothing_is_left_where_nobody_waits": "asks for a loop's readers",
    "test_ring.py::test_direct_io": "opens a file with O_DIRECT",
}


def short_name(node_id: str) -> str:
    """Return what pytest calls a test, without the folders of its file."""
    file, colons, test = node_id.partition("::")
    return file.rpartition("/")[2] + colons + test


def why_module_is_left(path: Path) -> str | None:
    """Return why a file of tests is not for this system."""
    return None if ON_LINUX else MODULES.get(path.stem)


def why_test_is_left(node_id: str) -> str | None:
    """Return why a test is not for this system."""
    if ON_LINUX:
        return None
    name = short_name(node_id)
    return next((why for start, why in TESTS.items() if name.startswith(start)), None)

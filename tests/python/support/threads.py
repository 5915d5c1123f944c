"""Which tests cannot run on several threads at once, and why. All others do, in .ci/parallel."""

from __future__ import annotations

import pytest

from . import own, systems

_COUNTS = "counts what a pool holds, and the other threads hold some of it"
_CLOSES = "closes or counts the views of a buffer that the other threads view"
_WRITES = "writes a buffer or a file that the other threads read"
_PROCESS = "counts what the whole process has"
_MAPPED = "asks whether memory that it gave back is still mapped: others may have mapped some there"
_DRAWS = "draws examples: Hypothesis parses sources, which CPython 3.11 fails at on several threads"

#: Reasons by the beginning of what pytest calls a test.
ALONE = {
    "test_allocator.py::test_locked_memory_counts_as_locked": _PROCESS,
    "test_dlpack.py::test_an_export_counts_as_a_view": _CLOSES,
    "test_dlpack.py::test_copies_are_separate": _WRITES,
    "test_dlpack.py::test_torch_gets_the_same_bytes": _CLOSES,
    "test_dlpack.py::test_tensors_may_be_dropped_by_any_thread": _CLOSES,
    "test_dlpack.py::test_what_cannot_be_exported": _CLOSES,
    "test_node_buffer.py::test_close_refuses_while_a_view_lives": _CLOSES,
    "test_numpy_allocator.py::test_arrays_and_temporaries_are_on_the_node": _COUNTS,
    "test_numpy_allocator.py::test_arrays_are_freed_by_any_thread": _COUNTS,
    "test_numpy_allocator.py::test_large_arrays_are_the_pools": _COUNTS,
    "test_numpy_allocator.py::test_memory_is_used_again": _COUNTS,
    "test_numpy_allocator.py::test_tracemalloc_sees": _PROCESS,
    "test_pool.py::test_a_buffer_comes_back_by_close": _COUNTS,
    "test_pool.py::test_hundreds_of_thousands_of_small_buffers": _COUNTS,
    "test_pool.py::test_reserve_adds_blocks": _COUNTS,
    "test_pool.py::test_statistics_are_fit_for_json": _COUNTS,
    "test_pool.py::test_trim_says_what_went": _COUNTS,
    "test_storage.py::test_any_stretch": _WRITES,
    "test_storage.py::test_both_ways_see_one_file": _WRITES,
    "test_storage.py::test_descriptors_are_closed": _PROCESS,
    "test_storage.py::test_several_buffers": _WRITES,
    "test_storage.py::test_the_last_offset_there_is": _WRITES,
    "test_storage.py::test_what_is_written_is_there": _WRITES,
    "test_stream.py::": _WRITES,
}


def why_test_runs_alone(item: pytest.Item) -> str | None:
    """Return why a test is not for several threads at once."""
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        return _DRAWS
    code = getattr(getattr(item, "obj", None), "__code__", None)
    if code is not None and own.is_mapped.__name__ in code.co_names:
        return _MAPPED
    name = systems.short_name(item.nodeid)
    return next((why for start, why in ALONE.items() if name.startswith(start)), None)

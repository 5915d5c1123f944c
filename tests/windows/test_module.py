"""The module itself: which platform it was built for, and what cannot be done is said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import portable_executable
import pytest

import numapool as nump


def test_it_is_the_windows_module() -> None:
    assert Path(nump._core.__file__).name == "_core.cp311-win_amd64.pyd"


def test_it_loads_no_library_of_the_compiler() -> None:
    held = Path(nump._core.__file__).read_bytes().lower()
    assert b"kernel32.dll" in held
    for name in (b"libstdc++-6.dll", b"libgcc_s_seh-1.dll", b"libwinpthread-1.dll"):
        assert name not in held


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: nump.SharedNodeBuffer(1), "multiprocessing.shared_memory"),
        (lambda: nump.memory_policy(0).__enter__(), "no memory policy"),
        (lambda: nump.NumaAllocator().allocate(1, page_size="transparent"), "Windows makes none"),
        (lambda: nump.NumaAllocator().allocate_interleaved(1, strict=True), "one preferred node"),
    ],
)
def test_what_windows_has_no_way_for_is_said(call: Callable[[], object], says: str) -> None:
    with pytest.raises(nump.UnsupportedError, match=says):
        call()


def test_no_function_that_came_late_is_needed_to_load_it() -> None:
    """What Windows 10's first version does not have is looked up when it is called for."""
    imported = portable_executable.imports(Path(nump._core.__file__).read_bytes())
    assert {"VirtualAllocExNuma", "GetNumaAvailableMemoryNodeEx"} <= imported["kernel32.dll"]
    names = set().union(*imported.values())
    assert not names & {"VirtualAlloc2", "GetNumaNodeProcessorMask2", "SetThreadDescription"}
    of_windows = {"advapi32", "iphlpapi", "kernel32", "msvcrt", "ole32", "setupapi", "ws2_32"}
    assert {name.removesuffix(".dll") for name in imported} <= of_windows | {"python311"}


def test_memory_is_handed_out_and_is_the_systems() -> None:
    assert sys.platform == "win32"
    with nump.NumaAllocator().allocate(4 << 20, 0) as buffer:
        view = memoryview(buffer)
        view[-1] = 7
        assert view[-1] == 7
        assert view[0] == 0
        view.release()


def test_capabilities_and_the_host_are_read_without_an_error() -> None:
    found = {one.name: one for one in nump.capabilities()}
    assert "bind" in found
    assert not [one for one in found.values() if one.detail.startswith("could not")]
    nump.detect_hypervisor()
    assert nump.NumaTopology.detect().nodes[0].free_memory_bytes() > 0


def test_a_publication_is_seen_by_the_same_user() -> None:
    from numapool.metrics.published_pools import published_pools

    with nump.publish_pools():
        assert any(one["pools"] is not None for one in published_pools())

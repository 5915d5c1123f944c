"""The module itself: which platform it was built for, and what cannot be done is said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

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
    "call",
    [
        lambda: nump.run_on(0).__enter__(),
        lambda: nump.NodeExecutor(0),
        lambda: nump.bind_process(0),
        lambda: nump.SharedNodeBuffer(1),
    ],
)
def test_what_windows_has_no_way_for_is_said(call: Callable[[], object]) -> None:
    with pytest.raises(nump.UnsupportedError, match="which"):
        call()


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
    from numapool.publishing import published_pools

    with nump.publish_pools():
        assert any(one["pools"] is not None for one in published_pools())

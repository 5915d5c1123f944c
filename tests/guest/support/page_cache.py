"""Fills a node with clean page cache, by reading a RAM disk that was never written."""

from __future__ import annotations

import os
from pathlib import Path

from . import policy
from .children import in_child
from .modules import load_module
from .nodes import MIB, free_bytes

_DEVICE = Path("/dev/ram0")
_SIZE_KIB = 4 << 20
_MARGIN_BYTES = 24 * MIB
_kept_open: list[int] = []


def fill(node: int, leave_bytes: int = _MARGIN_BYTES) -> int:
    """Read until the node has about ``leave_bytes`` free; returns what it has less of."""
    keep_device_open()
    before = free_bytes(node)
    outcome = in_child(_read_under_policy, node, max(0, before - leave_bytes))
    assert outcome.error is None and outcome.signal is None, outcome
    return before - free_bytes(node)


def keep_device_open() -> None:
    """Have the RAM disk, open for good: closed, a block device loses its cache."""
    if not _kept_open:
        load_module("brd", "rd_nr=1", f"rd_size={_SIZE_KIB}")
        _kept_open.append(os.open(_DEVICE, os.O_RDONLY | os.O_CLOEXEC))


def read_device(nbytes: int) -> None:
    """Read so much of the RAM disk, from its start, through the page cache."""
    buffer = bytearray(MIB)
    with _DEVICE.open("rb", buffering=0) as device:
        for _ in range(nbytes // MIB):
            device.readinto(buffer)


def _read_under_policy(node: int, nbytes: int) -> None:
    policy.set_mempolicy(policy.MPOL_BIND, node)
    read_device(nbytes)

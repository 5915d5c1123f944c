"""Which way many reads of a file go at the same time."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from numapool import _core
from numapool.probes.capability import Capability
from numapool.probes.machine import Machine

_DISABLED = "/proc/sys/kernel/io_uring_disabled"


def read_queue(machine: Machine) -> Iterator[Capability]:
    """Open a queue of reads, and close it again."""
    why = _core.why_no_read_queue()
    if why is None:
        yield Capability(
            name="read queue",
            available=True,
            detail=f"{_core.read_queue_name()} takes reads: read_many() needs no threads",
        )
        return
    yield Capability(
        name="read queue",
        available=False,
        detail=f"{why}: read_many() reads with threads",
        remedy=_remedy(machine, why),
    )


def _remedy(machine: Machine, why: str) -> str:
    switch = machine.number(_DISABLED)
    if switch is not None and switch != 0:  # Linux 6.6
        return f"sysctl kernel.io_uring_disabled=0; it is {switch}"
    if machine.has_seccomp_filter and os.strerror(errno.EPERM) in why:
        return (
            "if many small reads matter: allow io_uring_setup, io_uring_enter and "
            "io_uring_register in the container's seccomp profile"
        )
    return ""

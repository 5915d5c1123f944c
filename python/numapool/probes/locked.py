"""How much memory may be locked against swapping (mlock(2))."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from numapool import _core
from numapool.base.units import size_text
from numapool.probes.capability import Capability
from numapool.probes.machine import CAP_IPC_LOCK, Machine, words_of


def locked_memory(machine: Machine) -> Iterator[Capability]:
    """Lock a page, and read the limit."""
    try:
        import resource
    except ImportError:
        yield Capability(
            name="locked memory", available=None, detail="this platform has no RLIMIT_MEMLOCK"
        )
        return
    if sys.platform == "win32":
        raise AssertionError
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    more = "more: ulimit -l, LimitMEMLOCK= of the systemd unit, docker --ulimit memlock=-1:-1"
    try:
        _core.try_lock()
    except OSError as error:
        yield Capability(name="locked memory", available=False, detail=words_of(error), remedy=more)
        return
    if machine.has_capability(CAP_IPC_LOCK):
        limited, text = False, "any amount (CAP_IPC_LOCK)"
    elif limit == resource.RLIM_INFINITY:
        limited, text = False, "any amount (RLIMIT_MEMLOCK is unlimited)"
    else:
        limited, text = True, f"{size_text(limit)} (RLIMIT_MEMLOCK)"
    yield Capability(
        name="locked memory",
        available=True,
        detail=f"a page was locked; this process may lock {text}",
        remedy=more if limited else "",
    )

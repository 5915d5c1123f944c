"""Counts for a while how many of a process's accesses to memory went to another node."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator

from numapool import _core
from numapool.base.errors import UnsupportedError
from numapool.processes.tasks import Task

#: Each thread takes two descriptors.
_MOST_THREADS = 256


def counted_share(tasks: list[Task], duration_s: float) -> float | None:
    """Return the share of reads from memory that other nodes answered, from 0 to 1.

    None where nothing was read from memory. Of a process with very many threads, those that have
    had most CPU time are counted.

    Raises
    ------
    UnsupportedError
        The processor does not count them, or the system does not let us.
    """
    busiest = sorted(tasks, key=lambda task: -task.cpu_ticks)[:_MOST_THREADS]
    with contextlib.ExitStack() as open_counters:
        counters = [open_counters.enter_context(_counters(task.task_id)) for task in busiest]
        before = [_read(one) for one in counters if one is not None]
        time.sleep(duration_s)
        after = [_read(one) for one in counters if one is not None]
    loads = sum(now[0] - then[0] for now, then in zip(after, before, strict=True))
    remote = sum(now[1] - then[1] for now, then in zip(after, before, strict=True))
    if any(one.loads_are_local for one in counters if one is not None):
        loads += remote
    return min(1.0, remote / loads) if loads else None


@contextlib.contextmanager
def _counters(thread: int) -> Iterator[_core.NodeLoadCounters | None]:
    """Open a thread's counters; None for one that has ended."""
    try:
        counters = _core.count_node_loads(thread)
    except OSError as error:
        if error.errno == errno.ESRCH:
            yield None
            return
        raise _explained(error) from error
    try:
        yield counters
    finally:
        os.close(counters.loads)
        os.close(counters.remote)


def _read(counters: _core.NodeLoadCounters) -> tuple[int, int]:
    loads, remote = (
        int.from_bytes(os.read(one, 8), sys.byteorder) for one in (counters.loads, counters.remote)
    )
    return loads, remote


def _explained(error: OSError) -> UnsupportedError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return UnsupportedError(
            error.errno,
            "accesses by node are not counted: perf_event_open(2) is refused. Set "
            "kernel.perf_event_paranoid to 2 or less, allow the call in the container's seccomp "
            "profile, or run as root (CAP_PERFMON)",
        )
    return UnsupportedError(
        error.errno or errno.ENOSYS,
        "accesses by node are not counted: this processor, or what the hypervisor shows of it, has "
        f"no events node-loads and node-load-misses ({error.strerror or error})",
    )

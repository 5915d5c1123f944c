"""What binds the calling thread: its memory policy, its CPUs, and the node that it calls home."""

from __future__ import annotations

import os

from numapool import _core


def of_this_thread() -> tuple[object, ...]:
    """Return it in a form that can be compared; what the system does not tell is None."""
    try:
        told = _core.thread_policy()
        policy: object = (told.mode, told.nodes)
    except OSError:
        policy = None
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return policy, cpus, _core.home_node()

"""The CPUs of threads, as this system tells and sets them; Windows has them in groups of 64."""

from __future__ import annotations

from collections.abc import Iterable

from numapool import _core

_RULES = _core.affinity_rules()
#: Whether there is a way at all.
AVAILABLE = _RULES.available
#: The call that sets them, for messages.
CALL = _RULES.call
#: Whether a thread that was given every CPU there could be has no list of its own: what is added
#: to its cpuset later is its as well (Linux).
ALL_IS_NO_LIST = _RULES.all_is_no_list
#: Whether a thread starts with the CPUs of the one that starts it (Linux), or with the process's.
INHERITED = _RULES.inherited


def get(thread: int = 0) -> frozenset[int]:
    """Return the CPUs that a thread may run on; 0 is the calling one."""
    return frozenset(_core.thread_cpus(thread))


def set(cpus: Iterable[int], thread: int = 0) -> None:
    """Have a thread run on CPUs; 0 is the calling one. On Windows, on those of one group.

    Raises
    ------
    ProcessLookupError
        The thread has ended.
    OSError
        The system refuses it.
    """
    _core.set_thread_cpus(list(cpus), thread)


def usable() -> frozenset[int]:
    """Return the CPUs that the calling thread may choose from, as far as the system tells."""
    return frozenset(_core.usable_cpus())


def threads() -> list[int]:
    """Return the ids of this process's threads.

    Raises
    ------
    OSError
        The system does not tell.
    """
    return list(_core.thread_ids())


def have_follow(cpus: Iterable[int]) -> None:
    """Have threads that are started from now on run on CPUs, where they do not inherit them.

    Raises
    ------
    OSError
        This system has no way.
    """
    _core.have_new_threads_follow(list(cpus))

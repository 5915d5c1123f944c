"""What a thread may choose: its CPUs and its memory policy. Tried in a thread made for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from numapool import _core
from numapool.base.units import ids_text
from numapool.probes.capability import Capability
from numapool.probes.machine import Machine, words_of
from numapool.probes.placement import allow_calls
from numapool.threads import thread_cpus as system_cpus
from numapool.threads.affinity import usable_cpus

_T = TypeVar("_T")


def _in_thread(body: Callable[[], _T]) -> _T:
    """Return what `body` returns in a thread of its own, or raise what it raises."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(body())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="numapool-probe")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def thread_cpus(machine: Machine) -> Iterator[Capability]:
    """Put a thread on one CPU."""
    if not system_cpus.AVAILABLE:
        yield Capability(
            name="thread CPUs", available=False, detail="this platform has no way that is known"
        )
        return
    usable = usable_cpus()
    cpu = max(usable)

    def move() -> frozenset[int]:
        system_cpus.set({cpu})
        return system_cpus.get()

    try:
        seen = _in_thread(move)
    except OSError as error:
        yield Capability(
            name="thread CPUs",
            available=False,
            detail=words_of(error),
            remedy=allow_calls(machine, system_cpus.CALL, error),
        )
        return
    yield Capability(
        name="thread CPUs",
        available=seen == {cpu},
        detail=f"a thread was put on CPU {ids_text(seen)}; this one may use CPUs "
        f"{ids_text(usable, ', ')}",
    )


def thread_memory(machine: Machine) -> Iterator[Capability]:
    """Set a thread's memory policy."""
    usable = machine.usable_nodes

    def prefer() -> None:
        _core.set_thread_policy(_core.ThreadMode.PREFERRED, [usable[0]])

    try:
        if usable:
            _in_thread(prefer)
    except OSError as error:
        yield Capability(
            name="thread memory",
            available=False,
            detail=words_of(error),
            remedy=allow_calls(machine, "set_mempolicy", error),
        )
        return
    yield Capability(
        name="thread memory",
        available=bool(usable),
        detail=f"a thread was made to prefer node {usable[0]} (set_mempolicy)"
        if usable
        else "this process may use the memory of no node",
    )

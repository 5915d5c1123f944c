"""What bind_process took away, told to child processes by an environment variable.

A new program inherits the CPUs of the thread that starts it, but nothing that says who narrowed
them. Without that, a child of a bound process would take the binding for a limit set from outside.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing has it, which takes long to load
if TYPE_CHECKING:
    from collections.abc import Iterable

#: ``PID:START:CPUS:BASE``: the process that narrowed its CPUs, when it was started (proc(5), in
#: ticks since boot), the CPUs that it kept and those that it had, as bit masks in hex.
VARIABLE = "NUMAPOOL_BOUND_CPUS"

_MOST_CPUS = 1 << 16


def hand_down(cpus: frozenset[int], base: frozenset[int]) -> None:
    """Tell child processes that this one narrowed its CPUs from `base`.

    Raises
    ------
    OSError
        The system does not tell when this process was started.
    """
    if cpus == base:
        os.environ.pop(VARIABLE, None)
        return
    _, start = _parent_and_start(os.getpid())
    os.environ[VARIABLE] = f"{os.getpid()}:{start}:{_mask(cpus):x}:{_mask(base):x}"


# The result of the search, once it was made.
_found: list[tuple[frozenset[int], frozenset[int]] | None] = []


def handed_down() -> tuple[frozenset[int], frozenset[int]] | None:
    """Return the CPUs that an ancestor narrowed itself to, and those that it had before.

    None where no ancestor did so, or where it cannot be told that the variable is an ancestor's: an
    environment may be passed on to other process trees, whose limits are not ours to lift.
    """
    if not _found:
        _found.append(_read())
    return _found[0]


def _read() -> tuple[frozenset[int], frozenset[int]] | None:
    try:
        process, start, cpus, base = os.environ.get(VARIABLE, "").split(":")
        narrowed, before = _ids(int(cpus, 16)), _ids(int(base, 16))
        known = narrowed < before and _is_ancestor(int(process), int(start))
    except (ValueError, OSError):
        return None
    return (narrowed, before) if known else None


def _is_ancestor(process: int, start: int) -> bool:
    """Whether this process or one that it descends from is the one meant, not a later namesake."""
    one = os.getpid()
    while one > 0:
        parent, begun = _parent_and_start(one)
        if one == process:
            return begun == start
        one = parent
    return False


def _parent_and_start(process: int) -> tuple[int, int]:
    with open(f"/proc/{process}/stat", "rb") as file:  # noqa: PTH123 - as elsewhere: no pathlib
        # The name in parentheses may contain anything.
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[1]), int(fields[19])


def _mask(cpus: Iterable[int]) -> int:
    return sum(1 << cpu for cpu in cpus)


def _ids(mask: int) -> frozenset[int]:
    return frozenset(cpu for cpu in range(min(mask.bit_length(), _MOST_CPUS)) if mask >> cpu & 1)

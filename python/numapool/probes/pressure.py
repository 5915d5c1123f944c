"""How memory pressure is told: stall information (PSI), its triggers, and the cgroup's limits."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from numapool.base.units import size_text
from numapool.probes.capability import Capability
from numapool.probes.cgroups import Cgroup, find_cgroup, unified_cgroup
from numapool.probes.machine import CAP_SYS_RESOURCE, Machine

_OF_MACHINE = "/proc/pressure/memory"
_SHORT = b"some 150000 1000000\0"  # microseconds of stall in a window of so many (psi.rst)
_LONG = b"some 150000 2000000\0"
_NO_LIMIT = 1 << 60  # version 1 writes its "none" as a number above any memory


def _own_file(machine: Machine) -> str | None:
    own = unified_cgroup(machine)
    return None if own is None else f"{own.folder}/memory.pressure"


def _error_of(machine: Machine, path: str) -> OSError | None:
    """Return why a file cannot be read; None if it can."""
    try:
        with open(machine.path(path), "rb") as file:  # noqa: PTH123
            file.read()
    except OSError as error:
        return error
    return None


def _readable(machine: Machine) -> list[str]:
    """Return the files of stall information that answer, the own cgroup's first."""
    paths = [path for path in (_own_file(machine), _OF_MACHINE) if path is not None]
    return [path for path in paths if _error_of(machine, path) is None]


def stall_information(machine: Machine) -> Iterator[Capability]:
    """Read the stall information of the own cgroup and of the machine."""
    answering = _readable(machine)
    if answering:
        parts = [f"{path} answers" for path in answering]
        own = _own_file(machine)
        if own not in answering:
            parts.append("the own cgroup has none, so that other processes' stalls count")
        yield Capability(name="pressure", available=True, detail="; ".join(parts))
        return
    why = _error_of(machine, _OF_MACHINE)
    missing = why is not None and why.errno == errno.ENOENT
    yield Capability(
        name="pressure",
        available=False,
        detail=f"{_OF_MACHINE}: {why.strerror if why else 'unreadable'}",
        remedy="a Linux kernel since 4.20 with CONFIG_PSI, /proc not masked by the container"
        if missing
        else "boot with psi=1",
    )


def trigger(machine: Machine) -> Iterator[Capability]:
    """Open a trigger with a short window, else with a long one, and close it."""
    name = "pressure trigger"
    answering = _readable(machine)
    if not answering:
        yield Capability(name=name, available=False, detail="no stall information to wait for")
        return
    path = answering[0]
    why = _refusal(machine, path, _SHORT)
    if why is None:
        yield Capability(name=name, available=True, detail=f"{path} takes one with a window of 1 s")
        return
    long_why = _refusal(machine, path, _LONG)
    if long_why is None:
        short = "windows of 2 s and their multiples alone"
        detail = f"{path} takes {short}; numapool polls it instead, ten times a second"
    else:
        detail = f"{path}: {long_why.strerror}; numapool polls it instead, ten times a second"
    remedy = "for a wake-up without polling: CAP_SYS_RESOURCE (docker --cap-add SYS_RESOURCE)"
    if machine.has_capability(CAP_SYS_RESOURCE):
        remedy = "for a wake-up without polling: let this process write to the file"
    yield Capability(name=name, available=False, detail=detail, remedy=remedy)


def _refusal(machine: Machine, path: str, text: bytes) -> OSError | None:
    """Return why a trigger is refused; None if it was taken. It is gone on return."""
    flags = os.O_RDWR | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        file = os.open(machine.path(path), flags)
    except OSError as error:
        return error
    try:
        os.write(file, text)
    except OSError as error:
        return error
    finally:
        os.close(file)
    return None


def cgroup_limits(machine: Machine) -> Iterator[Capability]:
    """Read the memory limits of the own cgroup and of those above it."""
    own, unknown = find_cgroup(machine, "memory")
    if own is None and unknown:
        yield Capability(
            name="cgroup",
            available=None,
            detail=f"its limits are not known: {unknown}",
            remedy="show /proc and /sys/fs/cgroup in the container; read-only will do",
        )
        return
    if own is None:
        yield Capability(
            name="cgroup",
            available=False,
            detail="no cgroup with a memory controller; the machine's memory is the limit",
        )
        return
    version2 = own.version == 2
    limits = ("memory.max", "memory.high") if version2 else ("memory.limit_in_bytes",)
    events = "memory.events" if version2 else "memory.pressure_level"
    parts = [f"version {own.version}, {own.folder}"]
    if unknown:
        parts.append(f"not known: {unknown}")
    parts += [text for one in limits if (text := _least(machine, own, one))]
    if len(parts) == 1:
        parts.append("no limit")
    used = machine.number(f"{own.folder}/memory.{'current' if version2 else 'usage_in_bytes'}")
    if used is not None:
        parts.append(f"{size_text(used)} in use")
    if events in machine.names(own.folder):
        parts.append(f"{events} is there")
    yield Capability(name="cgroup", available=None if unknown else True, detail="; ".join(parts))


def _least(machine: Machine, own: Cgroup, file: str) -> str:
    """Describe the lowest of the limits in the files of that name, here and above."""
    found = [
        (limit, folder)
        for folder in own.levels()
        if (limit := machine.number(f"{folder}/{file}")) is not None and limit < _NO_LIMIT
    ]
    if not found:
        return ""
    limit, folder = min(found)
    where = "" if folder == own.folder else f" (of {folder})"
    return f"{file} {size_text(limit)}{where}"

"""Transparent huge pages, and those that an administrator reserves (hugetlbpage.rst)."""

from __future__ import annotations

import os
from collections.abc import Iterator

from numapool import _core
from numapool.base.units import size_text
from numapool.probes.capability import Capability
from numapool.probes.machine import Machine, words_of

_TRANSPARENT = "/sys/kernel/mm/transparent_hugepage"
_RESERVED = "/sys/kernel/mm/hugepages"
_LARGEST_SURPLUS = 4 << 20  # bytes that a probe may take


def _available_bytes() -> int:
    try:
        return _core.available().size_bytes
    except OSError:
        return 0


def _not_there(machine: Machine, name: str, folder: str, remedy: str) -> Capability:
    """Tell a kernel without it from a container that does not show it."""
    if machine.names("/sys/kernel/mm"):
        return Capability(
            name=name, available=False, detail=f"not in this kernel: no {folder}", remedy=remedy
        )
    return Capability(
        name=name,
        available=False,
        detail=f"cannot be used: {folder} is not shown here",
        remedy="show /sys in the container; read-only will do",
    )


def transparent(machine: Machine) -> Iterator[Capability]:
    """Have a huge page made of a scratch mapping."""
    name = "transparent huge pages"
    known = [
        one
        for one in _core.transparent_states(os.fsencode(machine.root))
        if one.mode and one.page_bytes
    ]
    if not known:
        yield _not_there(machine, name, _TRANSPARENT, "")
        return
    chosen = next((one for one in known if one.chosen), None)
    if chosen is None:
        state = next((one for one in known if one.whole_entry), known[-1])
        word = "inherit" if state.of_size else "madvise"
        yield Capability(
            name=name,
            available=False,
            detail=f"switched off: {state.switch_file} is never",
            remedy=f"as root: echo {word} > {state.switch_file}",
        )
        return
    if machine.status.get("THP_enabled") == "0":
        yield Capability(
            name=name,
            available=False,
            detail="switched off for this process (prctl PR_SET_THP_DISABLE)",
            remedy="start it by a parent that does not set PR_SET_THP_DISABLE",
        )
        return
    mode, size = _modes_text(known, chosen), chosen.page_bytes
    made = None if chosen.whole_entry else _made(machine, size)
    try:
        got = _core.try_transparent_page(size)
    except (OSError, MemoryError, ValueError) as error:
        # ValueError: a page so large that populating it could be what memory runs out for.
        words = words_of(error) if isinstance(error, OSError) else str(error)
        yield Capability(name=name, available=None, detail=f"enabled: {mode}; {words}")
        return
    whole = got == size
    if not whole and not chosen.whole_entry:
        # Of such a page nothing is told but that one more was made.
        now = _made(machine, size)
        if made is None or now is None:
            detail = f"enabled: {mode}; the kernel does not tell whether it gives any"
            yield Capability(name=name, available=None, detail=detail)
            return
        whole = now > made
    yield Capability(
        name=name,
        available=whole,
        detail=f"enabled: {mode}; a scratch mapping of {size_text(size)} came "
        + ("as one page" if whole else f"in pages of {size_text(got)}"),
        remedy=""
        if whole
        else "memory is fragmented now; as root: echo 1 > /proc/sys/vm/compact_memory",
    )


def _modes_text(known: list[_core.TransparentState], chosen: _core.TransparentState) -> str:
    """Return the mode of the size that is used, and of the others that are on."""
    others = [
        f"{size_text(one.page_bytes)}: {one.mode}"
        for one in known
        if one is not chosen and one.mode != "never"
    ]
    return "; also ".join([chosen.mode, ", ".join(others)] if others else [chosen.mode])


def _made(machine: Machine, size: int) -> int | None:
    """Return how many pages of a size were made at page faults (Linux 6.10), None if unknown."""
    return machine.number(f"{_TRANSPARENT}/hugepages-{size >> 10}kB/stats/anon_fault_alloc")


def hugetlb(machine: Machine) -> Iterator[Capability]:
    """Tell how many pages of each size each node has reserved, and map one if one is free."""
    reserves = _core.hugetlb_reserves(os.fsencode(machine.root))
    for one in reserves:
        yield _hugetlb_of(one)
    if not reserves:
        remedy = "a kernel with CONFIG_HUGETLBFS; transparent huge pages need no reservation"
        yield _not_there(machine, "hugetlb pages", _RESERVED, remedy)


def _hugetlb_of(reserve: _core.HugetlbReserve) -> Capability:
    size = reserve.page_bytes
    name = f"hugetlb pages of {size_text(size)}"
    by_node = [
        f"node {one.node}: {one.free_pages} of {one.total_pages} free" for one in reserve.by_node
    ]
    remedy = (
        "reserve some as root: echo N > /sys/devices/system/node/nodeX/hugepages/"
        f"hugepages-{size >> 10}kB/nr_hugepages"
    )
    if not reserve.total_pages:
        surplus = reserve.on_demand_pages
        detail = "none reserved" + (f"; up to {surplus} are made on demand" if surplus else "")
        if not surplus:
            return Capability(name=name, available=False, detail=detail, remedy=remedy)
        if size > _LARGEST_SURPLUS or size > _available_bytes():
            # Mapping it takes that much free memory at once; a reserved page takes none.
            return Capability(
                name=name,
                available=None,
                detail=f"{detail}; not tried, as {size_text(size)} would be taken from free memory",
            )
    else:
        detail = ", ".join(by_node) or f"{reserve.free_pages} of {reserve.total_pages} free"
    try:
        _core.try_hugetlb_page(size)
    except (OSError, MemoryError):
        return Capability(
            name=name, available=False, detail=f"{detail}; none could be mapped", remedy=remedy
        )
    return Capability(name=name, available=True, detail=f"{detail}; one was mapped")

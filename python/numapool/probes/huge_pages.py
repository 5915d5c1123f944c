"""Transparent huge pages, and those that an administrator reserves (hugetlbpage.rst)."""

from __future__ import annotations

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


def _chosen(text: str | None) -> str | None:
    """Return the word in brackets of ``always [madvise] never``."""
    return text.partition("[")[2].partition("]")[0] if text and "[" in text else text


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
    mode = _chosen(machine.read(f"{_TRANSPARENT}/enabled"))
    size = machine.number(f"{_TRANSPARENT}/hpage_pmd_size")
    if mode is None or size is None:
        yield _not_there(machine, name, _TRANSPARENT, "")
        return
    switch = f"{_TRANSPARENT}/enabled"
    # From Linux 6.8 on each size has a switch of its own, which wins unless it says inherit.
    of_size = f"{_TRANSPARENT}/hugepages-{size >> 10}kB/enabled"
    own = _chosen(machine.read(of_size))
    if own in ("always", "madvise", "never"):
        mode, switch = own, of_size
    if mode == "never":
        word = "inherit" if switch == of_size else "madvise"
        yield Capability(
            name=name,
            available=False,
            detail=f"switched off: {switch} is never",
            remedy=f"as root: echo {word} > {switch}",
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
    try:
        got = _core.try_transparent_page(size)
    except (OSError, MemoryError, ValueError) as error:
        # ValueError: a page so large that populating it could be what memory runs out for.
        words = words_of(error) if isinstance(error, OSError) else str(error)
        yield Capability(name=name, available=None, detail=f"enabled: {mode}; {words}")
        return
    whole = got == size
    yield Capability(
        name=name,
        available=whole,
        detail=f"enabled: {mode}; a scratch mapping of {size_text(size)} came "
        + ("as one page" if whole else f"in pages of {size_text(got)}"),
        remedy=""
        if whole
        else "memory is fragmented now; as root: echo 1 > /proc/sys/vm/compact_memory",
    )


def hugetlb(machine: Machine) -> Iterator[Capability]:
    """Tell what is reserved of each size on each node, and map a page where one is free."""
    sizes = sorted(
        int(name.removeprefix("hugepages-").removesuffix("kB")) << 10
        for name in machine.names(_RESERVED)
        if name.startswith("hugepages-")
    )
    for size in sizes:
        yield _hugetlb_of(machine, size)
    if not sizes:
        remedy = "a kernel with CONFIG_HUGETLBFS; transparent huge pages need no reservation"
        yield _not_there(machine, "hugetlb pages", _RESERVED, remedy)


def _hugetlb_of(machine: Machine, size: int) -> Capability:
    name = f"hugetlb pages of {size_text(size)}"
    folder = f"hugepages-{size >> 10}kB"
    reserved = machine.number(f"{_RESERVED}/{folder}/nr_hugepages") or 0
    free = machine.number(f"{_RESERVED}/{folder}/free_hugepages") or 0
    by_node = []
    for node in machine.topology.nodes:
        of_node = f"/sys/devices/system/node/node{node.node_id}/hugepages/{folder}"
        total = machine.number(f"{of_node}/nr_hugepages")
        if total:
            left = machine.number(f"{of_node}/free_hugepages") or 0
            by_node.append(f"node {node.node_id}: {left} of {total} free")
    reserve = (
        f"reserve some as root: echo N > /sys/devices/system/node/nodeX/hugepages/{folder}/"
        "nr_hugepages"
    )
    if not reserved:
        surplus = machine.number(f"{_RESERVED}/{folder}/nr_overcommit_hugepages") or 0
        detail = "none reserved" + (f"; up to {surplus} are made on demand" if surplus else "")
        if not surplus:
            return Capability(name=name, available=False, detail=detail, remedy=reserve)
        if size > _LARGEST_SURPLUS or size > _available_bytes():
            # Mapping it takes that much free memory at once; a reserved page is nobody's meanwhile.
            return Capability(
                name=name,
                available=None,
                detail=f"{detail}; not tried, as {size_text(size)} would be taken from free memory",
            )
    else:
        detail = ", ".join(by_node) or f"{free} of {reserved} free"
    try:
        _core.try_hugetlb_page(size)
    except (OSError, MemoryError):
        return Capability(
            name=name, available=False, detail=f"{detail}; none could be mapped", remedy=reserve
        )
    return Capability(name=name, available=True, detail=f"{detail}; one was mapped")

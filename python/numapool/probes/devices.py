"""Balloon devices, free page reporting, and whether devices tell their node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from numapool import _core
from numapool.base.errors import UnsupportedError
from numapool.base.units import size_text
from numapool.probes.capability import Capability
from numapool.probes.machine import Machine

_VIRTIO = "/sys/bus/virtio/devices"
_VIRTIO_MEM = 24  # linux/virtio_ids.h
_FEATURES = {
    "STATS_VQ": "statistics",
    "DEFLATE_ON_OOM": "deflate on OOM",
    "FREE_PAGE_HINT": "hints",
    "REPORTING": "reporting",
}
_KINDS = {"virtio": "virtio", "vmware": "VMware", "hyperv": "Hyper-V", "xen": "Xen"}
_MODULES = {"virtio": "virtio_balloon", "hyperv": "hv_balloon"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Balloon:
    kind: str
    name: str
    at_work: bool
    offers: tuple[str, ...]
    reports: bool


def _balloon(machine: Machine) -> _Balloon | None:
    """Return the device as numapool.BalloonDriver finds it, so that both say the same."""
    try:
        found = _core.read_balloon(os.fsencode(machine.root))
    except (OSError, UnsupportedError):
        return None
    if found.driver is None:
        return None
    return _Balloon(
        kind=found.driver,
        name=found.place.rpartition("/")[2],
        at_work=found.at_work,
        offers=tuple(text for feature, text in _FEATURES.items() if feature in found.features),
        reports=found.reports_free_pages,
    )


def _is_guest(machine: Machine) -> bool:
    try:
        return _core.detect_hypervisor(os.fsencode(machine.root), None).kind is not None
    except (OSError, UnsupportedError):
        return False


def _memory_devices(machine: Machine) -> list[str]:
    """Return the names of virtio-mem devices: with them the host changes the guest's memory."""
    return [
        name
        for name in machine.names(_VIRTIO)
        if machine.number(f"{_VIRTIO}/{name}/device") == _VIRTIO_MEM
    ]


def balloon(machine: Machine) -> Iterator[Capability]:
    """Look for a balloon device of any hypervisor."""
    found = _balloon(machine)
    if found is not None:
        text = f"{found.name} ({_KINDS.get(found.kind, found.kind)})"
        if found.kind == "virtio":
            text += f": {', '.join(found.offers) or 'no features'}"
        yield Capability(
            name="balloon",
            available=found.at_work,
            detail=text if found.at_work else f"{text}; no driver has it",
            remedy=""
            if found.at_work or found.kind not in _MODULES
            else f"as root: modprobe {_MODULES[found.kind]}",
        )
        return
    detail, remedy = "no balloon device of virtio, VMware, Hyper-V or Xen", ""
    if memory := _memory_devices(machine):
        detail += f"; the host adds and removes memory by virtio-mem ({', '.join(memory)}) instead"
    elif _is_guest(machine):
        remedy = "add one on the host (QEMU: -device virtio-balloon-pci,free-page-reporting=on)"
    yield Capability(name="balloon", available=False, detail=detail, remedy=remedy)


def _smallest_block(machine: Machine) -> str:
    """Say from which size on free blocks are reported, where the kernel tells."""
    try:
        blocks = _core.free_blocks(os.fsencode(machine.root))
    except (OSError, UnsupportedError):
        return ""
    return "" if blocks.order_assumed else f" of at least {size_text(blocks.block_bytes)}"


def free_page_reporting(machine: Machine) -> Iterator[Capability]:
    """Tell whether the host takes back free memory."""
    name = "free page reporting"
    found = _balloon(machine)
    if found is not None and found.reports:
        size = _smallest_block(machine)
        yield Capability(
            name=name,
            available=True,
            detail=f"free blocks{size} go back to the host after about 2 s; the first touch after "
            "that takes many times as long, which memory retained in a pool is spared",
        )
        return
    virtio = found is not None and found.kind == "virtio"
    yield Capability(
        name=name,
        available=False,
        detail="the balloon device does not offer it" if virtio else "no virtio balloon device",
        remedy="on the host: free-page-reporting=on for the balloon device" if virtio else "",
    )


def locality(machine: Machine) -> Iterator[Capability]:
    """Count the PCI devices whose node is known (-1 is unknown)."""
    folder = "/sys/bus/pci/devices"
    every = machine.names(folder)
    known: dict[int, int] = {}
    for name in every:
        node = machine.number(f"{folder}/{name}/numa_node")
        if node is not None and node >= 0:
            known[node] = known.get(node, 0) + 1
    if not every:
        detail = "no PCI devices"
    elif not known:
        detail = f"none of {len(every)} PCI devices tells its node"
    else:
        spread = ", ".join(f"node {node}: {known[node]}" for node in sorted(known))
        detail = f"{sum(known.values())} of {len(every)} PCI devices tell their node ({spread})"
    several = machine.topology.node_count > 1
    yield Capability(
        name="device locality",
        available=bool(known),
        detail=detail,
        remedy="the firmware must tell (a VM: PCI expander bridges with a node; _PXM in ACPI)"
        if every and not known and several
        else "",
    )

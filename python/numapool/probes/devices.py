"""Balloon devices, free page reporting, and whether devices tell their node."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import PAGESIZE

from numapool.capability import Capability
from numapool.probes.machine import Machine
from numapool.text import size_text

_VIRTIO = "/sys/bus/virtio/devices"
_VIRTIO_BALLOON = 5  # linux/virtio_ids.h
_FEATURES = {1: "statistics", 2: "deflate on OOM", 3: "hints", 5: "reporting"}
_REPORTING = 5
_OTHERS = {
    "VMware (vmw_balloon)": "/sys/module/vmw_balloon",
    "Hyper-V (hv_balloon)": "/sys/bus/vmbus/drivers/hv_balloon",
    "Xen": "/sys/devices/system/xen_memory/xen_memory0",
}


def _virtio_balloons(machine: Machine) -> Iterator[tuple[str, str | None, str]]:
    """Give name, driver and feature bits, bit 0 first, of each virtio balloon."""
    for name in machine.names(_VIRTIO):
        if machine.number(f"{_VIRTIO}/{name}/device") == _VIRTIO_BALLOON:
            driver = machine.target(f"{_VIRTIO}/{name}/driver")
            yield name, driver, machine.read(f"{_VIRTIO}/{name}/features") or ""


def _has(features: str, bit: int) -> bool:
    return features[bit : bit + 1] == "1"


def _is_guest(machine: Machine) -> bool:
    return " hypervisor" in (machine.read("/proc/cpuinfo") or "")


def balloon(machine: Machine) -> Iterator[Capability]:
    """Look for a balloon device of any hypervisor."""
    found = [name for name, folder in _OTHERS.items() if machine.names(folder)]
    idle: list[str] = []
    for name, driver, features in _virtio_balloons(machine):
        offers = [text for bit, text in _FEATURES.items() if _has(features, bit)]
        text = f"{name} (virtio): {', '.join(offers) or 'no features'}"
        (found if driver else idle).append(text)
    if found:
        yield Capability(name="balloon", available=True, detail="; ".join(found))
    elif idle:
        yield Capability(
            name="balloon",
            available=False,
            detail=f"{'; '.join(idle)}; no driver has it",
            remedy="as root: modprobe virtio_balloon",
        )
    else:
        yield Capability(
            name="balloon",
            available=False,
            detail="no balloon device of virtio, VMware, Hyper-V or Xen",
            remedy="add one on the host (QEMU: -device virtio-balloon-pci,free-page-reporting=on)"
            if _is_guest(machine)
            else "",
        )


def free_page_reporting(machine: Machine) -> Iterator[Capability]:
    """Tell whether the host takes back what is free."""
    name = "free page reporting"
    balloons = [(driver, features) for _, driver, features in _virtio_balloons(machine)]
    if any(driver and _has(features, _REPORTING) for driver, features in balloons):
        order = machine.number("/sys/module/page_reporting/parameters/page_reporting_order")
        size = "" if order is None else f" of at least {size_text(PAGESIZE << order)}"
        yield Capability(
            name=name,
            available=True,
            detail=f"free blocks{size} go back to the host after about 2 s; the first touch after "
            "that takes many times as long, which memory retained in a pool is spared",
        )
        return
    yield Capability(
        name=name,
        available=False,
        detail="the balloon device does not offer it" if balloons else "no virtio balloon device",
        remedy="on the host: free-page-reporting=on for the balloon device" if balloons else "",
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

"""Copies what describes a machine from /sys and /proc, without what identifies it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

#: Folders that are walked, and how a walk goes on below the first of them.
_WALKED = (
    "proc/driver/nvidia/gpus",
    "sys/block",
    "sys/bus",
    "sys/class",
    "sys/dev/block",
    "sys/dev/char",
    "sys/devices",
    "sys/fs/btrfs",
    "sys/hypervisor",
    "sys/kernel/iommu_groups",
    "sys/kernel/mm/hugepages",
    "sys/kernel/mm/transparent_hugepage",
    "sys/module/page_reporting/parameters",
)
#: Folders that are left out: there are thousands of some, and nothing reads them.
_SKIPPED_NAMES = (
    "power trace tracing queues integrity msi_irqs firmware_node cpufreq cpuidle cache "
    "thermal_throttle wakeup hwmon acpi drivers events format ptp"
)
_SKIPPED = frozenset(_SKIPPED_NAMES.split())
#: Of a CPU, these alone.
_OF_A_CPU = frozenset(("cache", "topology"))
_CPUS = "sys/devices/system/cpu/cpu"
#: Of /sys/devices/system alone these.
_SYSTEM = frozenset(("cpu", "node"))
#: Files that are copied. What is not here is not copied: serial numbers, MAC and network addresses,
#: world-wide names and identifiers of devices have files of their own.
_COPIED_NAMES = (
    "backing_file bios_vendor capabilities class core_cpus_list cpulist cpulistaffinity cpumap "
    "dev distance enabled free_hugepages has_cpu has_generic_initiator has_high_memory "
    "has_memory has_normal_memory hidden hpage_pmd_size ibdev ifindex iflink information level "
    "local_cpulist meminfo memory_tier name nodelist nr_hugepages nr_overcommit_hugepages "
    "numa_node numa_status numastat online page_reporting_order parent partition "
    "physical_package_id possible present product_name product_version read_bandwidth read_latency "
    "shared_cpu_list size start state surplus_hugepages sys_vendor target_node "
    "thread_siblings_list transport tun_flags type uevent vmstat write_bandwidth write_latency"
)
_COPIED = frozenset(_COPIED_NAMES.split())
#: Of these files some lines alone.
_LINES = {
    "uevent": ("DEVTYPE=", "DEVNAME=", "DRIVER=", "MAJOR=", "MINOR=", "INTERFACE="),
    "information": ("Model:", "Bus Location:", "Device Minor:"),
}
#: Files of /proc, and the lines of each that are copied; all of them where none are named.
_PROC: dict[str, tuple[str, ...]] = {
    "proc/meminfo": (),
    "proc/vmstat": (),
    "proc/zoneinfo": (),
    "proc/xen/capabilities": (),
    "proc/sys/kernel/osrelease": (),
    "proc/cpuinfo": ("processor", "vendor_id", "model name", "flags", "hypervisor", "CPU part"),
    "proc/self/status": ("Cpus_allowed", "Mems_allowed"),
}
_MOUNTS = "proc/self/mountinfo"
#: Memory that a driver has added is named here; addresses are left out.
_ADDED_MEMORY = b"System RAM ("
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a folder or a link of a machine, by its path below the root.

    A folder's path ends with a slash; a link has a `target`.
    """

    path: str
    content: bytes = b""
    target: str | None = None


def entries(root: str = "/") -> Iterator[Entry]:
    """Yield what describes the machine under `root`, as ``--sysfs`` and ``from_sysfs`` take it.

    What cannot be read is left out, and so are serial numbers, MAC and network addresses,
    world-wide names, and the names of other hosts.
    """
    for top in _WALKED:
        yield from _walk(root, top)
    for path, lines in _PROC.items():
        content = _read(f"{root}/{path}")
        if content is not None:
            kept = content.splitlines(keepends=True)
            starts = tuple(line.encode() for line in lines)
            yield Entry(path, b"".join(one for one in kept if not lines or one.startswith(starts)))
    added = _read(f"{root}/proc/iomem")
    if added is not None:
        yield Entry("proc/iomem", b"".join(map(_added, added.splitlines(keepends=True))))
    mounts = _read(f"{root}/{_MOUNTS}")
    if mounts is not None:
        yield Entry(_MOUNTS, b"".join(map(_mount, mounts.splitlines(keepends=True))))


def _walk(root: str, folder: str) -> Iterator[Entry]:
    try:
        with os.scandir(f"{root}/{folder}") as found:
            inside = sorted(found, key=lambda one: one.name)
    except OSError:
        return
    yield Entry(f"{folder}/")
    for one in inside:
        path = f"{folder}/{one.name}"
        if one.is_symlink():
            target = os.readlink(one.path)  # noqa: PTH115 - as elsewhere: no pathlib
            if not _is_block_of_memory(one.name) and _stays_inside(folder, target):
                yield Entry(path, target=target)
        elif one.is_dir():
            if _is_wanted(folder, one.name):
                yield from _walk(root, path)
        elif one.name in _COPIED or (one.name == "uuid" and folder.endswith("/dm")):
            content = _read(one.path)
            if content is not None:
                yield Entry(path, _without_identity(one.name, content))


def _is_wanted(folder: str, name: str) -> bool:
    """Whether a folder in another is walked."""
    if folder == "sys/devices/system":
        return name in _SYSTEM
    if folder.startswith(_CPUS) and folder[len(_CPUS) :].isdecimal():
        return name in _OF_A_CPU
    return name not in _SKIPPED and not _is_block_of_memory(name)


def _stays_inside(folder: str, target: str) -> bool:
    """Whether a link leads to a place below the root, as all links of sysfs do."""
    return not os.path.normpath(f"{folder}/{target}").startswith("..") and target[:1] != "/"


def _is_block_of_memory(name: str) -> bool:
    return name.startswith("memory") and name[6:].isdecimal()


def _without_identity(name: str, content: bytes) -> bytes:
    if name in _LINES:
        starts = tuple(line.encode() for line in _LINES[name])
        lines = content.splitlines(keepends=True)
        return b"".join(line for line in lines if line.startswith(starts))
    if name == "uuid":  # of a mapped device: the kind is before the first dash
        return content.partition(b"-")[0] + b"-\n"
    return content


def _added(line: bytes) -> bytes:
    """Return a line of added memory as everybody but root sees it, nothing of other lines."""
    _, _, name = line.partition(b" : ")
    return b"00000000-00000000 : " + name if name.startswith(_ADDED_MEMORY) else b""


def _mount(line: bytes) -> bytes:
    """Return a mount; of one from another host without what names that host."""
    before, _, after = line.partition(b" - ")
    kind, *words = after.split() or [b""]
    source = words[0] if words else b""
    if source.startswith(b"/dev/") or not (b":" in source or source.startswith(b"//")):
        return line
    return b"%s - %s host:/ rw\n" % (before, kind)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as elsewhere: no pathlib
            return file.read(_MOST_BYTES)
    except OSError:
        return None

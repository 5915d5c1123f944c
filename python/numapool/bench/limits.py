"""What the hardware could do at most, as firmware says where it can be believed."""

from __future__ import annotations

import struct

from numapool.bench.report import Limit
from numapool.bench.site import Site
from numapool.machine.hypervisor import detect_hypervisor
from numapool.probes.machine import Machine

_TABLE = "/sys/firmware/dmi/tables/DMI"
_MEMORY_DEVICE = 17  # SMBIOS 3.7, 7.18


def limits(site: Site) -> tuple[Limit, ...]:
    """Return the known limits of each target."""
    modules, why = _modules(site.machine)
    total = sum(modules)
    found = []
    for node_id in site.targets:
        node = site.topology.node(node_id)
        if node.read_bandwidth_bytes_s or node.read_latency_ns:
            found.append(
                Limit(
                    node_id=node_id,
                    bandwidth_bytes_s=node.read_bandwidth_bytes_s,
                    latency_ns=node.read_latency_ns,
                    source="the firmware's table of memory attributes (HMAT)",
                )
            )
            continue
        shares = len(site.targets)
        source = why or (
            f"{len(modules)} memory modules (SMBIOS), if each has a channel of its own"
            + (f" and all {shares} nodes have equally many" if shares > 1 else "")
        )
        found.append(
            Limit(
                node_id=node_id,
                bandwidth_bytes_s=total / shares if total else None,
                latency_ns=None,
                source=source,
            )
        )
    return tuple(found)


def _modules(machine: Machine) -> tuple[list[float], str]:
    """Return the rate of each memory module in bytes per second, or why none is known."""
    try:
        below = detect_hypervisor().kind
    except OSError:
        below = None
    if below is not None:
        return [], f"unknown: the hypervisor ({below}) does not tell what memory is below it"
    try:
        with open(machine.path(_TABLE), "rb") as file:  # noqa: PTH123
            table = file.read()
    except OSError as error:
        return [], f"unknown: {_TABLE}: {error.strerror}"
    found = module_rates(table)
    return found, "" if found else f"unknown: {_TABLE} tells of no memory module's speed"


def module_rates(table: bytes) -> list[float]:
    """Read the rates of memory modules from an SMBIOS table, in bytes per second.

    A module's data width times its configured speed (SMBIOS 3.7, 7.18: offsets 0Ah, 20h, 58h); its
    rated speed (15h, 54h) where the other is not told. Empty sockets have no width or speed.
    """
    rates = []
    at = 0
    while at + 4 <= len(table):
        kind, length = table[at], table[at + 1]
        if length < 4:
            break
        if kind == _MEMORY_DEVICE:
            rate = _rate(table[at : at + length])
            if rate:
                rates.append(rate)
        end = table.find(b"\0\0", at + length)  # the strings that belong to it
        if end < 0:
            break
        at = end + 2
    return rates


def _rate(structure: bytes) -> float:
    width_bits = _word(structure, 0x0A)
    transfers = _speed(structure, 0x20, 0x58) or _speed(structure, 0x15, 0x54)
    size = _word(structure, 0x0C)
    if not size or width_bits in (0, 0xFFFF) or not transfers:
        return 0.0
    return width_bits / 8 * transfers * 1e6


def _word(structure: bytes, at: int) -> int:
    return int(struct.unpack_from("<H", structure, at)[0]) if at + 2 <= len(structure) else 0


def _speed(structure: bytes, at: int, extended: int) -> int:
    """Return millions of transfers per second; 0 where unknown."""
    value = _word(structure, at)
    if value != 0xFFFF:
        return value
    if extended + 4 > len(structure):
        return 0
    return int(struct.unpack_from("<I", structure, extended)[0])

"""Adds hardware to a machine's tree: disks, network adapters and GPUs on PCI buses of nodes."""

from __future__ import annotations


def device(kind: str, name: str, node: int, slot: int) -> dict[str, str]:
    """Return the files of a device: ``"nvme"``, ``"net"`` or ``"gpu"``; -1 is no node."""
    bus = f"pci0000:{max(node, 0):02x}"
    address = f"0000:{max(node, 0):02x}:{slot:02x}.0"
    inside = f"devices/{bus}/{address}"
    files = {
        f"sys/{inside}/numa_node": f"{node}\n",
        f"sys/bus/pci/devices/{address} -> ../../../{inside}": "",
    }
    if kind == "nvme":
        place = f"{inside}/nvme/{name.rpartition('n')[0]}/{name}"
        return files | {
            f"sys/{inside}/class": "0x010802\n",
            f"sys/{place}/dev": "259:0\n",
            f"sys/{place}/queue/": "",
            f"sys/{place}/subsystem -> ../../../../../../class/block": "",
            f"sys/class/block/{name} -> ../../{place}": "",
        }
    if kind == "net":
        return files | {
            f"sys/{inside}/class": "0x020000\n",
            f"sys/{inside}/net/{name}/ifindex": "2\n",
            f"sys/class/net/{name} -> ../../{inside}/net/{name}": "",
        }
    assert kind == "gpu"
    return files | {
        f"sys/{inside}/class": "0x030200\n",
        f"sys/{inside}/drm/{name}/subsystem -> ../../../../../class/drm": "",
        f"sys/class/drm/{name} -> ../../{inside}/drm/{name}": "",
    }

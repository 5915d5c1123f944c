"""The disks and network adapters of the guests that have some: what they are, and on which node."""

from __future__ import annotations

from dataclasses import dataclass

#: The controllers of one NVMe namespace with two paths; its serial is that of both.
SHARED = "shared"


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A disk, found again by its serial.

    Parameters
    ----------
    driver
        ``nvme``, ``virtio-blk-pci`` or ``virtio-scsi-pci``.
    node_id
        The node of the expander that it is plugged into; None for the root bus, of which the
        firmware tells no node.
    """

    serial: str
    driver: str
    node_id: int | None


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A network adapter, found again by its address."""

    mac: str
    driver: str
    node_id: int | None


DISKS = (
    Disk(serial="flash0", driver="nvme", node_id=0),
    Disk(serial="flash1", driver="nvme", node_id=1),
    Disk(serial="spare0", driver="nvme", node_id=0),
    Disk(serial="files1", driver="nvme", node_id=1),
    Disk(serial="rootbus", driver="nvme", node_id=None),
    Disk(serial="virtio1", driver="virtio-blk-pci", node_id=1),
    Disk(serial="virtio-rootbus", driver="virtio-blk-pci", node_id=None),
    Disk(serial="scsi1", driver="virtio-scsi-pci", node_id=1),
)
ADAPTERS = (
    Adapter(mac="52:54:00:00:00:01", driver="virtio-net-pci", node_id=1),
    Adapter(mac="52:54:00:00:00:02", driver="e1000e", node_id=0),
    Adapter(mac="52:54:00:00:00:03", driver="virtio-net-pci", node_id=None),
)
_NODES = (0, 1)
_DISK_MIB = 192  # a btrfs takes 109 MiB at least


def qemu_options() -> tuple[str, ...]:
    """QEMU's options for all of them, each behind a root port of its node's expander."""
    ports = _Ports()
    for disk in DISKS:
        bus = ports.bus(disk.node_id)
        ports.add("-drive", f"id={disk.serial},if=none,{_storage(_DISK_MIB)}")
        if disk.driver == "virtio-scsi-pci":
            ports.add("-device", f"virtio-scsi-pci,id={disk.serial}-hba,bus={bus}")
            attached = f"scsi-hd,bus={disk.serial}-hba.0"
        else:
            attached = f"{disk.driver},bus={bus}"
        ports.add("-device", f"{attached},drive={disk.serial},serial={disk.serial}")
    for adapter in ADAPTERS:
        bus = ports.bus(adapter.node_id)
        ports.add("-device", f"{adapter.driver},mac={adapter.mac},bus={bus},romfile=")
    ports.add("-device", f"nvme-subsys,id={SHARED},nqn={SHARED}")
    for node_id in _NODES:
        bus = ports.bus(node_id)
        controller = f"id={SHARED}{node_id},serial={SHARED},subsys={SHARED},bus={bus}"
        ports.add("-device", f"nvme,{controller}")
    ports.add("-drive", f"id={SHARED}-disk,if=none,{_storage(_DISK_MIB)}")
    # A shared namespace hangs from one controller, and QEMU attaches it to the others.
    namespace = f"drive={SHARED}-disk,nsid=1,shared=on,bus={SHARED}{_NODES[0]}"
    ports.add("-device", f"nvme-ns,{namespace}")
    return tuple(ports.options)


def _storage(size_mib: int) -> str:
    """Nothing but zeroes, and a temporary file of QEMU's for what is written."""
    return f"driver=null-co,size={size_mib << 20},read-zeroes=on,snapshot=on"


class _Ports:
    """Expanders of the nodes, and a new root port for each device that asks for one."""

    def __init__(self) -> None:
        self.options: list[str] = []
        self._count = 0
        for node_id in _NODES:
            bus_number = 64 * (node_id + 1)
            expander = f"pxb-pcie,id=expander{node_id},bus=pcie.0,bus_nr={bus_number}"
            self.add("-device", f"{expander},numa_node={node_id}")

    def add(self, *options: str) -> None:
        self.options += options

    def bus(self, node_id: int | None) -> str:
        """The bus that the next device of a node is plugged into."""
        if node_id is None:
            return "pcie.0"
        self._count += 1
        port = (
            f"id=port{self._count},bus=expander{node_id},chassis={self._count},slot={self._count}"
        )
        self.add("-device", f"pcie-root-port,{port}")
        return f"port{self._count}"

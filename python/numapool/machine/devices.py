"""The devices of a machine: disks, network adapters, GPUs, and the node of each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from numapool import _core


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A piece of hardware; or memory, for a file system that lives in memory.

    Attributes
    ----------
    name : str
        As the system calls it: ``nvme0n1``, ``eth0``, ``mlx5_0``, ``dax0.0``, ``0000:3b:00.0``.
    kind : str
        ``"block"``, ``"nvme"``, ``"pmem"``, ``"dax"``, ``"net"``, ``"infiniband"``, ``"gpu"``,
        ``"pci"`` (another PCI function), ``"memory"`` (its name is the mount point) or ``"other"``.
    node_id : int or None
        The node it is on; None where the system does not tell (sysfs says -1 or nothing) or tells a
        node that is not online.
    pci_address : str or None
        The PCI function it is, or is behind: ``0000:3b:00.0``.
    evidence : str or None
        The file that tells the node, or that the device has none.
    """

    name: str
    kind: str
    node_id: int | None
    pci_address: str | None = None
    evidence: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary fit for JSON."""
        return asdict(self)


def device_of(found: _core.Device) -> Device:
    """Return the device that the core tells of."""
    return Device(
        name=found.name,
        kind=found.kind,
        node_id=found.node_id,
        pci_address=found.pci_address,
        evidence=found.evidence,
    )


class DeviceList:
    """All devices of a machine, read when they are first asked for, then kept."""

    __slots__ = ("_core", "_devices")

    def __init__(
        self, core: _core.Topology | None, devices: tuple[Device, ...] | None = None
    ) -> None:
        self._core = core
        self._devices = devices

    def __reduce__(self) -> tuple[Any, ...]:  # a copy elsewhere has the same contents
        return DeviceList, (None, self.all())

    def all(self) -> tuple[Device, ...]:
        """Return every device, by kind and name."""
        devices = self._devices
        if devices is None:
            assert self._core is not None
            devices = self._devices = tuple(map(device_of, _core.list_devices(self._core)))
        return devices

    def on(self, node_id: int) -> tuple[Device, ...]:
        """Return the devices that are known to be on a node."""
        return tuple(device for device in self.all() if device.node_id == node_id)

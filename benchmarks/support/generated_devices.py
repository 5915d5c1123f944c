"""A generated machine's PCI devices, as sysfs shows them: bridges, disks, adapters and GPUs."""

from __future__ import annotations

from pathlib import Path

_BRIDGE, _NVME, _NET, _INFINIBAND, _GPU = "060400", "010802", "020000", "020700", "030200"
# What is plugged into the root ports of a node, in turns.
_ENDPOINTS = (_NVME, _NVME, _NVME, _NET, _NVME, _INFINIBAND, _NVME, _GPU)


class _Machine:
    def __init__(self, root: Path, cpus_per_node: int) -> None:
        self._sys = root / "sys"
        self._cpus_per_node = cpus_per_node
        self._counts: dict[str, int] = {}

    def _number(self, kind: str) -> int:
        self._counts[kind] = self._counts.get(kind, -1) + 1
        return self._counts[kind]

    def function(
        self, folder: Path, address: str, class_code: str, node: int, below: int = 0
    ) -> Path:
        """A PCI function with the files that readers look at, and the bus below it; its folder."""
        place = folder / address
        place.mkdir(parents=True)
        first = node * self._cpus_per_node
        header = bytearray(256)  # type 0, no capabilities
        if class_code == _BRIDGE:
            header[0x0E] = 1
            bus = int(address.split(":")[1], 16)
            header[0x18:0x1B] = bytes((bus, below, below))
        texts = {
            "class": f"0x{class_code}",
            "vendor": "0x8086",
            "device": "0x1234",
            "subsystem_vendor": "0x8086",
            "subsystem_device": "0x0001",
            "revision": "0x01",
            "numa_node": str(node),
            "local_cpulist": f"{first}-{first + self._cpus_per_node - 1}",
            "local_cpus": self._mask(first),
        }
        for name, text in texts.items():
            (place / name).write_text(f"{text}\n")
        (place / "config").write_bytes(header)
        self._link(f"bus/pci/devices/{address}", place)
        return place

    def _mask(self, first: int) -> str:
        bits = ((1 << self._cpus_per_node) - 1) << first
        words: list[str] = []
        while bits or not words:
            words.append(f"{bits & 0xFFFFFFFF:08x}")
            bits >>= 32
        return ",".join(reversed(words))

    def _link(self, place: str, target: Path) -> None:
        link = self._sys / place
        link.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * (len(Path(place).parts) - 1)
        link.symlink_to(up + str(target.relative_to(self._sys)))

    def endpoint(self, place: Path, class_code: str) -> None:
        """What a driver makes of the function: a disk with a partition, interfaces, a GPU."""
        if class_code == _NVME:
            number = self._number("nvme")
            disk = place / f"nvme/nvme{number}/nvme{number}n1"
            self._device(disk, "block", size="1000000")
            self._device(disk / f"nvme{number}n1p1", "block", partition="1", size="1000")
        elif class_code == _NET:
            self._device(
                place / f"net/eth{self._number('eth')}", "net", address="02:00:00:00:00:01"
            )
        elif class_code == _INFINIBAND:
            self._device(place / f"infiniband/mlx5_{self._number('mlx5')}", "infiniband")
            self._device(place / f"net/ib{self._number('ib')}", "net", address="00")
        elif class_code == _GPU:
            self._device(place / f"drm/card{self._number('card')}", "drm")

    def _device(self, place: Path, subsystem: str, **texts: str) -> None:
        place.mkdir(parents=True)
        for name, text in texts.items():
            (place / name).write_text(f"{text}\n")
        function = next(one for one in place.parents if one.name.count(":") == 2)
        depth = len(place.relative_to(function).parts)
        (place / "device").symlink_to("../" * depth)
        self._link(f"class/{subsystem}/{place.name}", place)


def write_devices(root: Path, *, nodes: int, cpus: int, functions: int) -> int:
    """Write PCI functions, equally many for each node, half of them bridges; their number.

    Below each root port is one endpoint with the devices that its driver makes. Eight virtual
    interfaces and loop devices are added, which are no hardware.
    """
    machine = _Machine(root, cpus // nodes)
    count = 0
    for node in range(nodes):
        base = node * (256 // nodes)
        domain = root / f"sys/devices/pci0000:{base:02x}"
        for slot in range(functions // nodes // 2):
            bus = base + 1 + slot
            port = machine.function(domain, f"0000:{base:02x}:{slot:02x}.0", _BRIDGE, node, bus)
            class_code = _ENDPOINTS[slot % len(_ENDPOINTS)]
            place = machine.function(port, f"0000:{bus:02x}:00.0", class_code, node)
            machine.endpoint(place, class_code)
            count += 2
    for number in range(8):
        for subsystem, name in (("net", f"veth{number}"), ("block", f"loop{number}")):
            folder = root / f"sys/devices/virtual/{subsystem}/{name}"
            folder.mkdir(parents=True)
            machine._link(f"class/{subsystem}/{name}", folder)
    return count

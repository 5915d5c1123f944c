"""Which GPU ``gpu:0`` is: GPUs by PCI address, as CUDA_VISIBLE_DEVICES leaves them.

Everything is read from /proc and /sys: no driver's library is loaded, and no context is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

_PROC = "proc/driver/nvidia/gpus"
_PCI = "sys/bus/pci/devices"
_NVIDIA = "0x10de"
#: Display controllers of boards' management processors (ASPEED, Matrox): nothing computes there.
_NO_GPUS = frozenset(("0x1a03", "0x102b"))
_DISPLAY, _ACCELERATOR = "0x03", "0x12"  # the first byte of a PCI class
VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU: its PCI address, and its UUID where NVIDIA's driver tells it."""

    pci_address: str
    uuid: str | None = None


def gpus(root: str = "/") -> list[Gpu]:
    """Return the GPUs of a machine by PCI address: NVIDIA's, or else those of others."""
    root = root.rstrip("/")
    told = [
        Gpu(address.lower(), _uuid(f"{root}/{_PROC}/{address}/information"))
        for address in _names(f"{root}/{_PROC}")
    ]
    if told:
        return sorted(told, key=lambda one: one.pci_address)
    found: dict[bool, list[Gpu]] = {True: [], False: []}
    for address in _names(f"{root}/{_PCI}"):
        kind = _read(f"{root}/{_PCI}/{address}/class")
        vendor = _read(f"{root}/{_PCI}/{address}/vendor").strip()
        if kind.startswith((_DISPLAY, _ACCELERATOR)) and vendor not in _NO_GPUS:
            found[vendor == _NVIDIA].append(Gpu(address))
    return found[True] or found[False]


def find_gpu(
    word: str, root: str = "/", environment: Mapping[str, str] | None = None
) -> tuple[Gpu | None, str]:
    """Find the GPU that the part after ``gpu:`` names, an index or a UUID.

    Returns
    -------
    tuple
        The GPU, None where there is no such; and then what there is, in words.
    """
    every = gpus(root)
    if not every:
        return None, "no GPU is in /proc/driver/nvidia/gpus or among the PCI devices"
    if word.upper().startswith(("GPU-", "MIG-")):
        found = _by_uuid(word, every)
        uuids = ", ".join(one.uuid for one in every if one.uuid)
        return found, f"the driver tells {uuids}" if uuids else "the system tells no UUIDs"
    visible = (os.environ if environment is None else environment).get(VISIBLE)
    listed: list[Gpu | None] = list(every) if visible is None else _visible(visible, every)
    from_where = "" if visible is None else f" ({VISIBLE}={visible})"
    if not (word.isascii() and word.isdigit() and len(word) < 6):
        return None, f"a GPU goes by an index from 0 or by its UUID{from_where}"
    if int(word) < len(listed):
        found = listed[int(word)]
        return found, f"{VISIBLE}={visible} names it by what the driver's files do not tell"
    count = len(listed)
    there = "no GPU" if not count else "gpu:0" if count == 1 else f"gpu:0 to gpu:{count - 1}"
    return None, f"there is {there}{from_where}"


def _visible(text: str, every: list[Gpu]) -> list[Gpu | None]:
    """Return what CUDA leaves, in its order; an invalid entry ends the list, as CUDA has it.

    None is a part of a GPU (MIG), which by its UUID alone may belong to any of them.
    """
    listed: list[Gpu | None] = []
    for part in map(str.strip, text.split(",")):
        if part.upper().startswith(("GPU-", "MIG-")):
            found = _by_uuid(part, every)
            if found is None and not part.upper().startswith("MIG-"):
                break
            listed.append(found)
        elif part.isascii() and part.isdigit() and len(part) < 6 and int(part) < len(every):
            listed.append(every[int(part)])
        else:
            break
    return listed


def _by_uuid(text: str, every: list[Gpu]) -> Gpu | None:
    """Return the one GPU whose UUID begins so; ``MIG-GPU-UUID/1/0`` is a part of it."""
    wanted = text.partition("/")[0].lower().removeprefix("mig-")
    if not wanted.startswith("gpu-") or wanted == "gpu-":
        return None
    fitting = [one for one in every if one.uuid and one.uuid.lower().startswith(wanted)]
    return fitting[0] if len(fitting) == 1 else None


def _uuid(file: str) -> str | None:
    for line in _read(file).splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "GPU UUID":
            uuid = value.strip()
            return None if "?" in uuid else uuid  # not known until the GPU is used
    return None


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - pathlib takes long to load
    except OSError:
        return []


def _read(file: str) -> str:
    try:
        with open(file, encoding="ascii", errors="replace") as text:  # noqa: PTH123
            return text.read(1 << 16)
    except OSError:
        return ""

"""The hypervisor that this system runs on, and what shows it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from numapool import _core
from numapool.base import arguments


@dataclass(frozen=True, kw_only=True, slots=True)
class HypervisorInfo:
    """Which hypervisor the system runs on. It says nothing about a balloon device.

    Attributes
    ----------
    kind : str or None
        None on bare metal. "kvm", "qemu" (its emulation, or no telling what accelerates it),
        "xen", "vmware", "hyperv", "virtualbox", "parallels", "amazon" and "google" (their clouds),
        "bhyve", "acrn", "qnx", "apple", "powervm", "zvm", "wsl"; "unknown" where there is one that
        nothing names.
    vendor_signature : str or None
        What CPUID has in leaf 0x40000000 or a later one, such as "KVMKVMKVM": that of `kind` where
        one says so. None on other processors than x86, and on bare metal.
    product : str or None
        The product that the firmware names (DMI product_name), under a hypervisor that has any.
    evidence : tuple[str, ...]
        All that was seen, the file or "CPUID" first in each; what decided comes first.
    """

    kind: str | None
    vendor_signature: str | None
    product: str | None
    evidence: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary fit for JSON."""
        return {**asdict(self), "evidence": list(self.evidence)}


def root_path(root: arguments.PathLike) -> bytes:
    """Return the folder that stands for "/", as the core takes it."""
    path = arguments.path("root", root, as_bytes=True)
    if path == "/":  # the running machine, on Windows too, where it would become a drive
        return b"/"
    path = os.path.abspath(path)  # noqa: PTH100 - pathlib takes 2 ms to import
    return os.fsencode(path)


def detect_hypervisor(
    root: arguments.PathLike = "/", *, cpuid_signatures: Sequence[str] | None = None
) -> HypervisorInfo:
    """Say which hypervisor this system runs on.

    What is believed first: DMI names of vendors whose CPUID shows something else (VirtualBox, Xen,
    Amazon EC2, Parallels, Google); signatures of CPUID, but for Hyper-V's, which others show to
    Windows guests; Xen's own files; other DMI names; the device tree; an IBM mainframe's sysinfo;
    the kernel's release under WSL; Hyper-V's signature; the mere presence of a hypervisor.

    Parameters
    ----------
    root : str or path-like
        Another machine's ``/sys`` and ``/proc``. For those /proc/cpuinfo stands in for CPUID.
    cpuid_signatures : sequence of str, optional
        In place of what the processor says; empty means that it shows no hypervisor.

    Raises
    ------
    OSError
        The folder does not exist.
    UnsupportedError
        Neither the processor nor the system has a way to tell.
    """
    signatures = None
    if cpuid_signatures is not None:
        given = arguments.items("cpuid_signatures", cpuid_signatures, "an iterable of str or None")
        signatures = [arguments.text("each of cpuid_signatures", one) for one in given]
    found = _core.detect_hypervisor(root_path(root), signatures)
    return HypervisorInfo(
        kind=found.kind,
        vendor_signature=found.vendor_signature,
        product=found.product,
        evidence=found.evidence,
    )

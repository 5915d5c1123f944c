"""Machines under hypervisors as text: trees of files, and what is to be read from them.

The file ``cpuid`` of a tree stands for what the processor shows: a signature per line, empty where
it shows no hypervisor, missing where the processor has no CPUID or nobody asked it.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path

from numapool import BalloonDriver, BalloonState, HypervisorInfo, detect_hypervisor
from support import sysfs_tree

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
#: The trees count pages of this size.
PAGE_BYTES = 4096


def names() -> list[str]:
    """Return the names of all machines."""
    return sorted(path.stem for path in HOSTS.glob("*.tree"))


def machine(name: str) -> dict[str, str]:
    """Return a machine's files."""
    return sysfs_tree.parse((HOSTS / f"{name}.tree").read_text())


def expected(name: str) -> list[str]:
    """Return what is to be read from a machine."""
    head = (HOSTS / f"{name}.tree").read_text().partition("\n== ")[0]
    return [line.strip() for line in head.splitlines() if line.startswith(" ")]


def detect(root: Path, files: Mapping[str, str | bytes]) -> HypervisorInfo:
    """Write the files of a machine below `root` and look for its hypervisor."""
    sysfs_tree.write(root, files)
    cpuid = files.get("cpuid")
    assert not isinstance(cpuid, bytes)
    signatures = None if cpuid is None else [line for line in cpuid.splitlines() if line]
    return detect_hypervisor(root, cpuid_signatures=signatures)


def describe_hypervisor(info: HypervisorInfo, root: Path) -> list[str]:
    """Write what was found, and what decided."""
    lines = [f"kind: {info.kind or 'none'}"]
    if info.vendor_signature is not None:
        lines.append(f"signature: {info.vendor_signature}")
    if info.product is not None:
        lines.append(f"product: {info.product}")
    if info.kind is not None:
        lines.append(f"decided: {info.evidence[0].removeprefix(f'{root}/')}")
    return [line.strip() for line in lines]


def describe_balloon(driver: BalloonDriver) -> list[str]:
    """Write the state of a balloon."""
    state = driver.state()
    if state.driver is None:
        return ["balloon: none"]
    if not driver.available:
        assert driver.reason is not None
        return [f"balloon: {state.driver}, not at work: {driver.reason.split(chr(39))[1]}"]
    size = "size unknown" if state.inflated_bytes is None else _kib(state.inflated_bytes, state)
    if state.target_bytes is not None:
        size += f" of {_kib(state.target_bytes, state)}"
    line = f"balloon: {state.driver}, {size}"
    if state.reports_free_pages:
        line += ", reports free pages"
    if state.deflates_on_oom:
        line += ", deflates on OOM"
    return [line, f"features: {' '.join(state.features)}"] if state.features else [line]


def _kib(size_bytes: int, state: BalloonState) -> str:
    if state.source is not None and "vmstat" in state.source:  # in pages of this system
        size_bytes = size_bytes // mmap.PAGESIZE * PAGE_BYTES
    return f"{size_bytes // 1024} kB"

"""Which hypervisor is found on captured and made-up machines, and on this one."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import pytest
from support import hosts, sysfs_tree

import numapool as nump
from numapool import _core

ON_X86 = platform.machine().lower() in ("x86_64", "amd64", "i686")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="trees are Linux's files")


@pytest.mark.parametrize("name", hosts.names())
def test_what_is_found_on_each(name: str, tmp_path: Path) -> None:
    found = hosts.describe_hypervisor(hosts.detect(tmp_path, hosts.machine(name)), tmp_path)
    wanted = [
        line
        for line in hosts.expected(name)
        if line.partition(":")[0] in ("kind", "signature", "product", "decided")
    ]
    assert found == wanted


@pytest.mark.parametrize("name", hosts.names())
def test_all_that_was_seen_is_evidence(name: str, tmp_path: Path) -> None:
    files = hosts.machine(name)
    info = hosts.detect(tmp_path, files)
    for path, text in files.items():
        if path.startswith("sys/class/dmi") or path == "sys/hypervisor/type":
            assert f"{tmp_path}/{path}: {text.strip()}" in info.evidence
    for signature in filter(None, files.get("cpuid", "").splitlines()):
        assert f"CPUID signature: {signature}" in info.evidence
    if files.get("cpuid") == "":
        assert "CPUID: no hypervisor is present" in info.evidence
    assert len(set(info.evidence)) == len(info.evidence)


def test_dmi_does_not_decide_where_a_signature_does(tmp_path: Path) -> None:
    """A host may put any text into its guest's DMI, and QEMU's users do."""
    files = {"cpuid": "KVMKVMKVM\n", "sys/class/dmi/id/sys_vendor": "VMware, Inc.\n"}
    assert hosts.detect(tmp_path, files).kind == "kvm"


def test_a_balloon_is_no_evidence(tmp_path: Path) -> None:
    files = hosts.machine("kvm_virtio")
    only_balloon = {
        path: text for path, text in files.items() if path.startswith(("sys/bus", "proc/vmstat"))
    }
    info = hosts.detect(tmp_path, {**only_balloon, "cpuid": ""})
    assert info.kind is None
    assert nump.BalloonDriver(root=tmp_path).available


def test_no_files_at_all(tmp_path: Path) -> None:
    info = nump.detect_hypervisor(tmp_path)
    assert info == nump.HypervisorInfo(kind=None, vendor_signature=None, product=None, evidence=())


FILES = [
    "sys/class/dmi/id/product_name",
    "sys/class/dmi/id/sys_vendor",
    "sys/hypervisor/type",
    "proc/xen/capabilities",
    "proc/device-tree/hypervisor/compatible",
    "proc/device-tree/model",
    "proc/sysinfo",
    "proc/sys/kernel/osrelease",
    "proc/cpuinfo",
]
GARBAGE = {
    "empty": b"",
    "blank": b" \n\0\n",
    "binary": bytes(range(256)),
    "not_utf8": b"\xff\xfe\xc3(\n",
    "long": b"x" * 100_000,
    "keys_only": b"VM00 Control Program:\nflags\nflags\t\t: hypervisor",
}


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_evidence_at_most(path: str, content: bytes, tmp_path: Path) -> None:
    info = hosts.detect(tmp_path, {path: content})
    assert info.kind in (None, "unknown", "xen")
    assert (info.kind == "xen") == (path == "proc/xen/capabilities")
    for line in info.evidence:
        assert line.isprintable()
        assert len(line) < 1000
    json.dumps(info.to_dict())


def test_a_folder_or_a_dangling_link_in_the_place_of_a_file(tmp_path: Path) -> None:
    sysfs_tree.write(
        tmp_path,
        {
            "sys/class/dmi/id/product_name/": "",
            "sys/class/dmi/id/sys_vendor -> nowhere": "",
            "proc/device-tree -> nowhere": "",
        },
    )
    assert nump.detect_hypervisor(tmp_path).kind is None


@pytest.mark.parametrize("separator", ["\0", "\n", "\0\n"])
def test_lists_of_the_device_tree_are_one_line(separator: str, tmp_path: Path) -> None:
    text = f"xen,xen-4.17{separator}xen,xen\0"
    info = hosts.detect(tmp_path, {"proc/device-tree/hypervisor/compatible": text})
    assert info.kind == "xen"
    assert info.evidence[0].splitlines() == [info.evidence[0]]


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        nump.detect_hypervisor(tmp_path / "none")
    with pytest.raises(ValueError, match="null character"):
        nump.detect_hypervisor("a\0b")


def test_it_is_frozen_and_fit_for_json() -> None:
    info = nump.detect_hypervisor()
    with pytest.raises(AttributeError):
        info.kind = "vmware"  # type: ignore[misc]
    assert json.loads(json.dumps(info.to_dict()))["evidence"] == list(info.evidence)


@pytest.mark.skipif(not ON_X86, reason="CPUID is x86's")
def test_this_machine_agrees_with_the_kernel() -> None:
    """The kernel makes the flag of the same bit, and lscpu's names come from the same leaf."""
    flags = Path("/proc/cpuinfo").read_text().partition("\nflags")[2].partition("\n")[0].split()
    cpuid = _core.read_cpuid()
    assert cpuid is not None
    assert cpuid.hypervisor == ("hypervisor" in flags)
    info = nump.detect_hypervisor()
    if cpuid.hypervisor:
        assert info.kind is not None
        assert info.vendor_signature in (None, *cpuid.signatures)
    assert all(1 <= len(text) <= 12 and text.isascii() for text in cpuid.signatures)

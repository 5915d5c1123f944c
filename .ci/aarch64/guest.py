"""One run of QEMU: a machine of some nodes, a command in it, and the status it ended with."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .kernel import Kernel

#: Processors with the page sizes of the kernels: cortex-a72 has no base pages of 16 KiB.
_PROCESSORS = {"4k": "cortex-a72", "16k": "cortex-a76", "64k": "cortex-a72"}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What is emulated."""

    pages: str
    nodes: int
    mib_of_node: int = 768
    append: str = ""


def run(
    kernel: Kernel, image: Path, shared: Path, machine: Machine, command: str
) -> tuple[int, list[str]]:
    """Run `command` by the guest's shell, `shared` at /mnt; return its status and what it printed.

    All is printed here too, as it comes.

    Raises
    ------
    SystemExit
        If the guest ended without a status.
    """
    (shared / ".command").write_text(command + "\n")
    status = shared / ".status"
    status.unlink(missing_ok=True)
    nodes = range(machine.nodes)
    memory = machine.mib_of_node
    arguments = ["-M", "virt,gic-version=3", "-cpu", _PROCESSORS[machine.pages]]
    arguments += ["-accel", "tcg,thread=multi", "-smp", str(machine.nodes)]
    arguments += ["-m", f"{machine.nodes * memory}M"]
    for node in nodes:
        arguments += ["-object", f"memory-backend-ram,id=m{node},size={memory}M"]
        arguments += ["-numa", f"node,nodeid={node},memdev=m{node},cpus={node}"]
    append = f"console=ttyAMA0 quiet panic=-1 mitigations=off {machine.append}".strip()
    arguments += ["-kernel", str(kernel.image), "-initrd", str(kernel.initramfs)]
    arguments += ["-append", append]
    arguments += ["-drive", f"file={image},format=raw,if=none,id=root,snapshot=on"]
    arguments += ["-device", "virtio-blk-pci,drive=root"]
    arguments += ["-fsdev", f"local,id=shared,path={shared},security_model=none"]
    arguments += ["-device", "virtio-9p-pci,fsdev=shared,mount_tag=shared"]
    arguments += ["-device", "virtio-balloon-pci,id=balloon0,free-page-reporting=on"]
    control = shared / ".qmp"
    arguments += ["-qmp", f"unix:{control},server=on,wait=off"]
    arguments += ["-nodefaults", "-no-reboot", "-nographic", "-serial", "mon:stdio"]
    began = time.monotonic()
    lines = []
    with subprocess.Popen(
        ["qemu-system-aarch64", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as qemu:
        assert qemu.stdout is not None
        for line in qemu.stdout:
            lines.append(line.decode(errors="replace").replace("\r", "").rstrip("\n"))
            print(lines[-1], flush=True)
            if (asked := re.fullmatch(r"host: balloon (\d+)", lines[-1])) is not None:
                _size_balloon(control, int(asked[1]))
    print(f"aarch64: the guest ran for {time.monotonic() - began:.0f} s", flush=True)
    if not status.exists() or not status.read_text().strip():
        raise SystemExit("aarch64: the guest ended without a status")
    return int(status.read_text()), lines


def _size_balloon(control: Path, bytes_left: int) -> None:
    """Ask QEMU for a balloon that leaves the guest so much memory."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(control))
        with line.makefile("rw") as text:
            text.readline()  # its greeting
            for command in (
                {"execute": "qmp_capabilities"},
                {"execute": "balloon", "arguments": {"value": bytes_left}},
            ):
                text.write(json.dumps(command) + "\n")
                text.flush()
                text.readline()

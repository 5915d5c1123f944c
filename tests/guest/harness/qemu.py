"""Turns a machine description into QEMU's command line."""

from __future__ import annotations

import shutil
from pathlib import Path

from .errors import Unavailable
from .kernel import Kernel
from .machine import Machine

BINARY = "qemu-system-x86_64"

#: Every feature that the emulation knows: NumPy and the C library then run the code that real
#: processors run. Two are left out because they cost time under emulation: "erms" makes the kernel
#: clear pages byte by byte (three times as long), "la57" adds a level to the page tables.
_CPU_MODEL = "max,-erms,-la57"
_KERNEL_OPTIONS = (
    "console=ttyS0",
    "rdinit=/init",
    "panic=-1",
    "mitigations=off",
    "audit=0",
    "loglevel=6",
    # On a busy host the emulated timer may seem dead to a booting kernel, which then panics.
    "no_timer_check",
)


def command_line(machine: Machine, kernel: Kernel, folder: Path) -> list[str]:
    """The command that boots ``machine``.

    Parameters
    ----------
    machine, kernel
        What to boot.
    folder
        Holds ``initramfs`` and the writable ``share``; QEMU makes its sockets ``qmp`` and
        ``agent``, and the file ``console``, there.

    Raises
    ------
    Unavailable
        QEMU is not installed.
    """
    binary = shutil.which(BINARY)
    if binary is None:
        raise Unavailable(
            f"guests need {BINARY}: apt-get install --no-install-recommends qemu-system-x86"
        )
    return [
        binary,
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-machine", f"q35,accel=tcg{',hmat=on' if machine.hmat else ''}", "-cpu", _CPU_MODEL),
        *("-kernel", str(kernel.image), "-initrd", str(folder / "initramfs")),
        *("-append", " ".join((*_KERNEL_OPTIONS, *machine.kernel_options))),
        *(
            "-serial",
            f"file:{folder / 'console'}",
            "-qmp",
            f"unix:{folder / 'qmp'},server=on,wait=off",
        ),
        *_processors(machine),
        *_memory(machine),
        *_nodes(machine),
        *_shared_folders(folder),
        *("-device", "virtio-serial-pci,id=serial"),
        *("-chardev", f"socket,id=agent,path={folder / 'agent'},server=on,wait=off"),
        *("-device", "virtserialport,bus=serial.0,chardev=agent,name=agent"),
        *(
            "-object",
            "rng-random,id=rng,filename=/dev/urandom",
            "-device",
            "virtio-rng-pci,rng=rng",
        ),
        *_balloon(machine),
        *machine.qemu_options,
    ]


def _processors(machine: Machine) -> list[str]:
    owned = machine.owned_cpu_count
    sockets = machine.sockets or owned
    cores = owned // (sockets * machine.threads)
    each = f"sockets={sockets},cores={cores},threads={machine.threads}"
    return ["-smp", f"{machine.cpu_count},maxcpus={owned},{each}"]


def _memory(machine: Machine) -> list[str]:
    size = f"{machine.memory_mib}M"
    if machine.hotplug_slots:
        size += f",slots={machine.hotplug_slots},maxmem={machine.max_memory_mib}M"
    return ["-m", size]


def _nodes(machine: Machine) -> list[str]:
    options: list[str] = []
    backend = "memory-backend-memfd,share=on" if machine.shared_memory else "memory-backend-ram"
    for node in machine.nodes:
        description = f"node,nodeid={node.node_id}"
        if node.memory_mib:
            options += ["-object", f"{backend},id=memory{node.node_id},size={node.memory_mib}M"]
            description += f",memdev=memory{node.node_id}"
        if node.initiator is not None:
            description += f",initiator={node.initiator}"
        options += ["-numa", description]
    for node in machine.nodes:
        for cpu in node.cpus:
            socket, core, thread = machine.place_of(cpu)
            place = f"socket-id={socket},core-id={core},thread-id={thread}"
            options += ["-numa", f"cpu,node-id={node.node_id},{place}"]
    if machine.distances is not None:
        for source, row in enumerate(machine.distances):
            for target, distance in enumerate(row):
                options += ["-numa", f"dist,src={source},dst={target},val={distance}"]
    for row_ in machine.hmat:
        ends = f"initiator={row_.initiator},target={row_.target},hierarchy=memory"
        options += ["-numa", f"hmat-lb,{ends},data-type=access-latency,latency={row_.latency_ns}"]
        options += [
            "-numa",
            f"hmat-lb,{ends},data-type=access-bandwidth,bandwidth={row_.bandwidth_mib_s}M",
        ]
    return options


def _balloon(machine: Machine) -> list[str]:
    if machine.balloon is None:
        return []
    reporting = "on" if machine.balloon.free_page_reporting else "off"
    deflate = "on" if machine.balloon.deflate_on_oom else "off"
    options = f"free-page-reporting={reporting},deflate-on-oom={deflate}"
    return ["-device", f"virtio-balloon-pci,id=balloon,{options}"]


def _shared_folders(folder: Path) -> list[str]:
    """The host's root, read-only, and a writable folder, under the tags that init mounts."""
    return [
        *("-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"),
        *("-device", "virtio-9p-pci,fsdev=root,mount_tag=root"),
        *("-fsdev", f"local,id=share,path={folder / 'share'},security_model=none,multidevs=remap"),
        *("-device", "virtio-9p-pci,fsdev=share,mount_tag=share"),
    ]

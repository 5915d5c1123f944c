"""Builds the initramfs that carries a guest from its kernel to the host's root file system."""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .errors import Unavailable
from .kernel import ROOT, Kernel, lock

#: What the guest needs before it can load anything from its root: the 9p transport, a writable
#: /tmp, the agent's serial port.
EARLY_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console")
_INIT_SOURCE = Path(__file__).with_name("init.c")
_CONSOLE_DEVICE = (5, 1)


def build(kernel: Kernel, command: Sequence[str], environment: Mapping[str, str]) -> bytes:
    """The archive, uncompressed (a guest unpacks faster than it inflates).

    Parameters
    ----------
    kernel
        The modules are taken from its tree.
    command
        What the guest runs as its only service; when it ends, the guest powers off.
    environment
        The whole environment of ``command``.
    """
    archive = _Archive()
    for folder in ("dev", "proc", "sys", "root", "modules"):
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=_CONSOLE_DEVICE)
    archive.add("init", stat.S_IFREG | 0o755, _init_binary().read_bytes())
    for index, module in enumerate(_with_dependencies(kernel, EARLY_MODULES)):
        archive.add(
            f"modules/{index:02d}-{module.name.split('.')[0]}.ko",
            stat.S_IFREG | 0o644,
            _plain(module),
        )
    archive.add("command", stat.S_IFREG | 0o644, _strings(command))
    archive.add(
        "environment",
        stat.S_IFREG | 0o644,
        _strings(f"{key}={value}" for key, value in environment.items()),
    )
    return archive.finish()


def _strings(strings: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(text) + b"\0" for text in strings)


def _plain(module: Path) -> bytes:
    """The module as ELF: finit_module of a kernel without MODULE_DECOMPRESS takes nothing else."""
    content = module.read_bytes()
    return lzma.decompress(content) if module.suffix == ".xz" else content


def _with_dependencies(kernel: Kernel, names: Sequence[str]) -> list[Path]:
    """Files of ``names`` and what they need, in loading order, without what is built in."""
    needs: dict[str, list[str]] = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        path, _, dependencies = line.partition(":")
        needs[path] = dependencies.split()
    by_name = {Path(path).name.split(".")[0].replace("-", "_"): path for path in needs}
    ordered: list[str] = []
    for name in names:
        wanted = by_name.get(name)
        if wanted is not None:
            # modules.dep lists what must be loaded first last.
            files = [*reversed(needs[wanted]), wanted]
            ordered += [file for file in files if file not in ordered]
    return [kernel.modules / file for file in ordered]


def _init_binary() -> Path:
    """The compiled first process; compiled again when its source is newer."""
    with lock("init"):  # guests boot at the same time
        return _compile_init()


def _compile_init() -> Path:
    binary = ROOT / "init"
    if binary.exists() and binary.stat().st_mtime > _INIT_SOURCE.stat().st_mtime:
        return binary
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise Unavailable(
            "guests need a C compiler for their first process: apt-get install gcc libc6-dev"
        )
    fresh = binary.with_name("init.fresh")
    result = subprocess.run(
        [compiler, "-O1", "-static", "-o", str(fresh), str(_INIT_SOURCE)],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise Unavailable(
            f"{compiler} cannot link the guest's first process statically: {result.stderr}"
        )
    fresh.rename(binary)
    return binary


class _Archive:
    """A cpio archive in the "newc" format (early-userspace/buffer-format.rst)."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.entries = 0

    def add(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self.entries += 1
        encoded = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (self.entries, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(encoded), 0)
        self._append(b"070701" + b"".join(b"%08X" % value for value in fields) + encoded)
        self._append(data)

    def finish(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return bytes(self.content)

    def _append(self, data: bytes) -> None:
        self.content += data
        self.content += b"\0" * (-len(self.content) % 4)

"""Files for tests: contents that tell where a byte is from, and file systems of both kinds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

SHARED_MEMORY = Path("/dev/shm")


def contents(nbytes: int, seed: int = 0) -> bytes:
    """Bytes of which no two stretches are alike."""
    return np.random.default_rng(seed).bytes(nbytes)


def has_direct(folder: Path) -> bool:
    """Whether the kernel opens files there for direct I/O, and they are on a device."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            os.close(os.open(file.name, os.O_RDONLY | os.O_DIRECT))
        except OSError:
            return False
    return folder != SHARED_MEMORY and not _in_memory(folder)


def _in_memory(folder: Path) -> bool:
    best = ("", "")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind = line.split()[:3]
        if Path(place) in (folder, *folder.parents) and len(place) >= len(best[0]):
            best = (place, kind)
    return best[1] in ("tmpfs", "ramfs", "hugetlbfs")


def open_descriptors(path: Path) -> int:
    """How many descriptors of this process are of the file."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            count += link.readlink() == path
        except FileNotFoundError:  # the listing's own
            continue
    return count


@contextmanager
def memory_folder() -> Iterator[Path]:
    """Make a folder on a file system in memory."""
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as name:
        yield Path(name)


@contextmanager
def folder_of(kind: str, factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a folder on this machine's "disk", which mostly has direct I/O, or in "memory"."""
    if kind == "disk":
        yield factory.mktemp("files")
        return
    if not SHARED_MEMORY.is_dir():
        pytest.skip("there is no /dev/shm here")
    with memory_folder() as folder:
        yield folder

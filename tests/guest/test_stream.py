"""Storage I/O on real disks: blocks and threads beside the disk, bad sectors, no room left."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import numapool as nump

from .devices import DISKS
from .support import pages, volumes
from .support.modules import load_module
from .support.volumes import run

pytestmark = pytest.mark.machine("devices", "devices_612")

_MIB = 1 << 20
_NODE = 1
_BLOCK_BYTES = 2 * _MIB
_HELD = np.random.default_rng(5).bytes(24 * _MIB + 1234)
_BAD_SECTOR = 3 * 2048 + 8 * 5  # on the broken volume: 3 MiB and five pages
_SECTOR_BYTES = 512


@pytest.fixture(scope="module")
def disk() -> str:
    """An NVMe disk on node 1 that no other module uses."""
    for module in ("nvme", "ext4", "dm_mod"):
        load_module(module)
    assert {disk.serial: disk.node_id for disk in DISKS}["files1"] == _NODE
    volumes.wait_for(lambda: "files1" in volumes.disks_by_serial(), "the disk files1")
    return volumes.disks_by_serial()["files1"]


@pytest.fixture
def broken(disk: str) -> Iterator[Path]:
    """A volume over the disk's first 8 MiB, of which eight sectors cannot be read or written."""
    lines = (
        f"0 {_BAD_SECTOR} linear /dev/{disk} 0",
        f"{_BAD_SECTOR} 8 error",
        f"{_BAD_SECTOR + 8} {16384 - _BAD_SECTOR - 8} linear /dev/{disk} {_BAD_SECTOR + 8}",
    )
    command = ("dmsetup", "create", "--noudevsync", "--noudevrules", "broken")
    run(*command, text="\n".join(lines))
    run("dmsetup", "mknodes", "broken")
    yield Path("/dev/mapper/broken").resolve()
    run("dmsetup", "remove", "--noudevsync", "--noudevrules", "--retry", "broken")


@pytest.fixture(scope="module")
def folder(disk: str) -> Path:
    run("mkfs.ext4", "-q", "-F", f"/dev/{disk}")
    return volumes.mount(f"/dev/{disk}", "/run/files", "ext4")


def tasks() -> set[Path]:
    """The threads of this process."""
    return set(Path("/proc/self/task").iterdir())


def cpus_of_threads(but: set[Path]) -> set[str]:
    """Where this process's threads may run, as the kernel lists it, except for some of them."""
    found = set()
    for task in tasks() - but:
        status = (task / "status").read_text()
        found |= {
            line.split()[1] for line in status.splitlines() if line.startswith("Cpus_allowed_list:")
        }
    return found


def test_a_sector_that_cannot_be_read(broken: Path) -> None:
    """All bytes before it come, whole pages at least, and the error says which is the next."""
    held = np.random.default_rng(6).bytes(_BAD_SECTOR * _SECTOR_BYTES)
    assert nump.write_from(broken, held).nbytes == len(held)
    got = b""
    with nump.stream(broken, 64 << 10, 2) as stream:
        with pytest.raises(nump.StorageError) as error:
            for block in stream:
                got += bytes(block.buffer)
        assert error.value.errno == errno.EIO
        assert error.value.offset == len(got)
        assert error.value.filename == str(broken)
        assert len(held) - (64 << 10) <= len(got) <= len(held)
        assert got == held[: len(got)]
        del block


def test_a_sector_that_cannot_be_written(broken: Path) -> None:
    with pytest.raises(nump.StorageError) as error:
        nump.write_from(broken, bytes(8 * _MIB), sync=True)
    assert error.value.errno in (errno.EIO, errno.ENOSPC, errno.EREMOTEIO)


def test_blocks_and_threads_are_beside_the_disk(folder: Path) -> None:
    path = folder / "file"
    with nump.NumaAllocator().allocate(len(_HELD), _NODE) as buffer:
        memoryview(buffer)[:] = _HELD
        assert nump.write_from(path, buffer, sync=True).buffered_bytes < 4096
    assert nump.device_node(path) == _NODE
    cpus = Path(f"/sys/devices/system/node/node{_NODE}/cpulist").read_text().strip()
    before = tasks()
    got = bytearray()
    with nump.run_on(0), nump.stream(path, _BLOCK_BYTES, 3) as stream:
        assert stream.node_id == _NODE
        for block in stream:
            if not got:  # the threads are still at work, and one of them may begin only now
                volumes.wait_for(lambda: cpus_of_threads(before) == {cpus}, f"threads on {cpus}")
                mapping = pages.numa_maps(block.buffer)
                assert set(mapping.bytes_by_node) == {_NODE}
                assert mapping.policy.startswith("prefer")
            with block:
                assert set(pages.bytes_by_node(block.buffer)) == {_NODE}
                got += memoryview(block.buffer)
        assert stream.nbytes - stream.direct_bytes < 4096
        assert stream.reason is None
    assert got == _HELD


def test_blocks_on_another_node_are_possible(folder: Path) -> None:
    path = folder / "other"
    path.write_bytes(_HELD)
    got = bytearray()
    with nump.stream(path, _BLOCK_BYTES, 2, node=0) as stream:
        assert stream.node_id == 0
        for block in stream:
            with block:
                assert set(pages.bytes_by_node(block.buffer)) == {0}
                got += memoryview(block.buffer)
    assert got == _HELD


@pytest.mark.parametrize("direct", [True, False])
def test_a_disk_that_is_full(folder: Path, direct: bool) -> None:
    """What was written before the disk was full is there, up to the offset of the error."""
    path = folder / f"full-{direct}"
    with nump.NumaAllocator().allocate(8 * _MIB, _NODE) as buffer:
        offset = 0
        with pytest.raises(nump.StorageError) as error:
            while offset < 400 * _MIB:
                np.frombuffer(memoryview(buffer), np.uint64)[:] = offset
                nump.write_from(path, buffer, offset, direct=direct)
                offset += buffer.nbytes
        assert error.value.errno == errno.ENOSPC
        assert offset <= error.value.offset < offset + buffer.nbytes
        assert path.stat().st_size >= error.value.offset
        for at in range(0, offset, buffer.nbytes):
            assert nump.read_into(path, buffer, at).nbytes == buffer.nbytes
            assert (np.frombuffer(memoryview(buffer), np.uint64) == at).all()
    path.unlink()

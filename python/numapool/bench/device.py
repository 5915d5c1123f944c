"""How fast a file or device is read into memory of its own node, and of the farthest."""

from __future__ import annotations

import os
import time

from numapool.bench.report import DeviceRead, Figure
from numapool.bench.rounds import LEAST_ROUNDS, Pace, figure_of, is_steady
from numapool.bench.site import Site
from numapool.machine.device_search import device_node
from numapool.pools.pool import BufferPool
from numapool.storage.stream import BLOCK_BYTES, stream

_DEPTH = 8
_ROUND_BYTES = 64 << 20
_MOST_NODES = 8  # where the device's node is not known, and each could be the near one
_LONGER = 2.0  # a disk's rounds vary more than memory's


def check(path: str) -> int:
    """Return the size of what is to be read, in bytes.

    Raises
    ------
    OSError
        It is not there, may not be read, or is a folder.
    ValueError
        It holds less than a block.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.read(descriptor, 1)  # a folder can be opened, and only this call shows that it is one
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(descriptor)
    if size < BLOCK_BYTES:
        raise ValueError(
            f"{path!r} holds {size} bytes: to measure a device, give it or a file on it of at "
            f"least {BLOCK_BYTES} bytes"
        )
    return size


def targets(site: Site, path: str) -> list[tuple[int, str]]:
    """Return the nodes to read into, and what they are to the device."""
    try:
        own = device_node(path, site.topology)
    except OSError:
        own = None
    if len(site.targets) == 1:
        return [(site.targets[0], "only")]
    near = None if own is None else site.near(own)
    if own is None or near is None:
        return [(node, "unknown") for node in site.targets[:_MOST_NODES]]
    far = site.far(own)
    return [(near, "near")] + ([(far, "far")] if far is not None and far != near else [])


def figures(site: Site) -> int:
    """How many there are to measure."""
    return sum(len(targets(site, path)) for path in site.options.paths)


def measure(site: Site) -> tuple[DeviceRead, ...]:
    """Stream each path past the page cache into each node that matters."""
    found = []
    for path in site.options.paths:
        size = check(path)
        for target, place in targets(site, path):
            name = f"{path} to node {target}"
            pace = site.clock.take(name)
            if pace is None:
                site.left_out.append(name)
                continue
            found.append(_measure(site, path, size, target, place, pace))
    return tuple(found)


class _Reads:
    """Rounds of reading one file after another stretch of it, and what is seen of them."""

    def __init__(self, path: str, size: int, target: int, pool: BufferPool) -> None:
        self._path, self._size, self._target, self._pool = path, size, target, pool
        self._round_bytes = min(size, _ROUND_BYTES) // BLOCK_BYTES * BLOCK_BYTES
        self._offset = 0
        self.bytes = self.direct_bytes = 0
        self.reason: str | None = None

    def read(self, *, look: bool) -> tuple[float, bool]:
        """Read a stretch; the rate, and whether all blocks were on the target if one looks."""
        if self._offset + self._round_bytes > self._size:
            self._offset = 0
        right = True
        begin = time.perf_counter_ns()
        with stream(
            self._path,
            BLOCK_BYTES,
            _DEPTH,
            self._target,
            self._pool,
            offset=self._offset,
            size_bytes=self._round_bytes,
        ) as blocks:
            for block in blocks:
                with block:
                    if look:
                        on_target = block.buffer.placement().bytes_by_node.get(self._target, 0)
                        right = right and on_target >= block.nbytes
            took = time.perf_counter_ns() - begin
            self.bytes += blocks.nbytes
            self.direct_bytes += blocks.direct_bytes
            self.reason = blocks.reason
            rate = blocks.nbytes * 1e9 / max(took, 1)
        self._offset += self._round_bytes
        return rate, right


def _measure(site: Site, path: str, size: int, target: int, place: str, pace: Pace) -> DeviceRead:
    with BufferPool(site.allocator) as pool:
        reads = _Reads(path, size, target, pool)
        _, right_before = reads.read(look=True)
        figure = _rates(reads, pace)
        _, right_after = reads.read(look=True)
    try:
        own = device_node(path, site.topology)
    except OSError:
        own = None
    share = reads.direct_bytes / max(reads.bytes, 1)
    if share < 1:
        why = reads.reason or "parts of it are not aligned"
        site.warn("device", f"{path}: {1 - share:.0%} came by way of the page cache: {why}")
    return DeviceRead(
        path=path,
        device_node=own,
        target=target,
        place=place,
        bytes_s=figure,
        direct_share=share,
        reason=reads.reason,
        verified=right_before and right_after,
    )


def _rates(reads: _Reads, pace: Pace) -> Figure:
    end = time.monotonic() + pace.most_s * _LONGER
    values: list[float] = []
    while len(values) < LEAST_ROUNDS or not is_steady(values):
        if len(values) >= 2 and time.monotonic() >= end:
            break
        values.append(reads.read(look=False)[0])
    return figure_of(values)

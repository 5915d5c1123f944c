"""A cache of a file's blocks in memory beside the disk, past the kernel's page cache.

Run it as ``python examples/storage_cache.py [FOLDER]``: it writes a file there, reads it at random
through a cache that holds a quarter of it, changes some of it, scans all of it without disturbing
the cache, and shows what happened. The cache's memory is a ring: it is taken once, on the node that
the disk is on, and no block is ever allocated again.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import zlib
from pathlib import Path

import numapool as nump

KIB, MIB = 1 << 10, 1 << 20


class BlockCache:
    """Keeps blocks of a file in the blocks of a ring; the one read first makes way first.

    What :meth:`read` returns stays valid for as long as somebody holds it, also when the cache has
    let it go: its block of the ring is not used again before. So keep few of them, and not long;
    who needs a block that cannot make way is told by ``PoolExhaustedError``.
    """

    def __init__(
        self, path: Path, block_bytes: int, count: int, pool: nump.BufferPool, timeout_s: float = 10
    ) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._ring = pool.ring(block_bytes, count, pool.allocator.device_node(path))
        self._blocks: dict[int, tuple[nump.NodeBuffer, int]] = {}  # the oldest first, as the ring
        self._lock = threading.Lock()
        self.hits = self.misses = self.direct_bytes = 0

    def read(self, number: int) -> memoryview:
        """Return a block of the file; shorter, or empty, at its end."""
        with self._lock:
            found = self._blocks.get(number)
            if found is None:
                self.misses += 1
                found = self._load(number)
            else:
                self.hits += 1
            buffer, nbytes = found
            return memoryview(buffer).toreadonly()[:nbytes]

    def write(self, number: int, content: bytes) -> None:
        """Change the beginning of a block in the file and in the cache."""
        with self._lock:
            start = number * self._ring.block_bytes
            nump.write_from(self._path, content, start)
            if number in self._blocks:
                buffer, nbytes = self._blocks[number]
                memoryview(buffer)[: len(content)] = content
                self._blocks[number] = (buffer, max(nbytes, len(content)))

    def _load(self, number: int) -> tuple[nump.NodeBuffer, int]:
        if len(self._blocks) == self._ring.count:
            oldest = next(iter(self._blocks))
            del self._blocks[oldest]
        buffer = self._ring.acquire(block=True, timeout_s=self._timeout_s)
        done = nump.read_into(self._path, buffer, number * self._ring.block_bytes)
        self.direct_bytes += done.direct_bytes
        self._blocks[number] = (buffer, done.nbytes)
        return self._blocks[number]

    def close(self) -> None:
        """Let all blocks go; the memory goes with the last one that somebody holds."""
        with self._lock:
            self._blocks.clear()
            self._ring.close()


def main(folder: str | None = None) -> None:
    """Fill a file, and read it through the cache."""
    block_bytes, blocks = 64 * KIB, 256
    chance = random.Random(1)
    with tempfile.TemporaryDirectory(dir=folder) as place, nump.BufferPool() as pool:
        path = Path(place) / "file"
        contents = [bytes([number]) * block_bytes for number in range(blocks)]
        nump.writev(path, contents)
        print(f"wrote {blocks * block_bytes // MIB} MiB")

        cache = BlockCache(path, block_bytes, blocks // 4, pool)
        wrong = 0
        for _ in range(2000):
            number = min(int(chance.expovariate(1 / 30)), blocks - 1)  # low numbers are hot
            if chance.random() < 0.05:
                contents[number] = chance.randbytes(block_bytes)
                cache.write(number, contents[number])
            wrong += cache.read(number) != contents[number]
        share = cache.hits / (cache.hits + cache.misses)
        print(f"{cache.hits} hits, {cache.misses} misses ({share:.0%} hits), {wrong} wrong")
        print(f"{cache.direct_bytes // KIB} KiB went past the page cache")

        before = cache.misses
        check = 0
        with nump.stream(path, MIB, depth=2, pool=pool) as stream:
            for block in stream:
                with block:  # its memory is free for the next one as soon as it is left
                    check = zlib.crc32(memoryview(block.buffer), check)
        same = check == zlib.crc32(b"".join(contents))
        print(
            f"a scan of all of it: {'right' if same else 'wrong'}, {cache.misses - before} misses"
        )

        cache.close()
        print(f"{pool.statistics().total.in_use_bytes} bytes in use at the end")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Descriptors that numapool keeps, in a program that closes what it does not know."""

from __future__ import annotations

import sys

import pytest
from support import child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files are kept open on Linux")


def test_descriptors_of_others_are_left_alone() -> None:
    """A daemon closes all descriptors, ours as well, and opens sockets under their numbers."""
    said = child.check(
        """
        import os, socket
        import numapool as nump
        allocator = nump.NumaAllocator()
        monitor = nump.PressureMonitor()
        pool = nump.BufferPool(allocator)
        monitor.attach(pool)
        monitor.start()
        pool.acquire(2 << 20).close()
        allocator.allocate(32 << 20).close()
        os.closerange(3, 256)
        pairs = [socket.socketpair() for _ in range(60)]
        allocator.allocate(32 << 20).close()
        pool.acquire(2 << 20).close()
        monitor.reading()
        monitor.close()
        fine = 0
        for pair in pairs:
            for near, far in (pair, pair[::-1]):
                near.send(b"to you")
                fine += far.recv(64) == b"to you"
        print(fine)
        """
    )
    assert said.strip() == "120"

"""Reads the kernel's log from a moment on (Documentation/ABI/testing/dev-kmsg)."""

from __future__ import annotations

import os


class KernelLog:
    """The records that the kernel has written since this object was made. Needs root."""

    def __init__(self) -> None:
        self._records: list[str] = []
        self._descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._descriptor, 0, os.SEEK_END)

    def lines(self) -> list[str]:
        """All messages so far, oldest first, without their prefixes."""
        while True:
            try:
                record = os.read(self._descriptor, 8192).decode(errors="replace")
            except BlockingIOError:
                return list(self._records)
            except BrokenPipeError:  # the ring buffer overtook us; go on with what is left
                self._records.append("... records lost ...")
                continue
            self._records.append(record.partition(";")[2].splitlines()[0])

    def oom_kills(self) -> list[str]:
        """The messages about killed processes, and the line that names the constraint."""
        return [
            line
            for line in self.lines()
            if "Killed process" in line or "oom-kill:constraint=" in line
        ]

    def close(self) -> None:
        """Stop reading."""
        os.close(self._descriptor)

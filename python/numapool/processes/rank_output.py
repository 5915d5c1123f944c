"""Passes the output of several programs on, line by line, with who said it in front."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from typing import BinaryIO

_CHUNK = 1 << 16
#: ANSI colours of nodes, in turns.
_COLOURS = (36, 33, 32, 35, 34, 31)


class RankOutput:
    """The two streams of a rank, and the beginning of a line that is not complete."""

    def __init__(
        self, process: subprocess.Popen[bytes], rank: int, node: int, output: Output
    ) -> None:
        assert process.stdout is not None and process.stderr is not None
        self.rank = rank
        self.node = node
        self._output = output
        # (what is read, where it goes: standard output or error)
        self.open: dict[BinaryIO, int] = {process.stdout: 1, process.stderr: 2}  # type: ignore[dict-item]
        self._begun: dict[int, bytes] = {1: b"", 2: b""}
        if sys.platform == "win32":
            raise AssertionError  # where no ranks are started
        for stream in self.open:
            os.set_blocking(stream.fileno(), False)

    def read(self, stream: BinaryIO) -> bool:
        """Pass on what there is now; False if there was nothing."""
        try:
            chunk = os.read(stream.fileno(), _CHUNK)
        except BlockingIOError:
            return False
        target = self.open[stream]
        if not chunk:
            self._close(stream)
            return False
        *lines, self._begun[target] = (self._begun[target] + chunk).split(b"\n")
        if len(self._begun[target]) > _CHUNK:  # no line that anybody reads
            lines.append(self._begun[target])
            self._begun[target] = b""
        for line in lines:
            self._output.write(self, target, line)
        return True

    def finish(self) -> None:
        """Pass on the output so far, and wait for no more: a child of the rank may keep it open."""
        for stream in list(self.open):
            while stream in self.open and self.read(stream):
                pass
            self._close(stream)

    def _close(self, stream: BinaryIO) -> None:
        if (target := self.open.pop(stream, None)) is None:
            return
        stream.close()
        if self._begun[target]:
            self._output.write(self, target, self._begun[target])
            self._begun[target] = b""


class Output:
    """Where lines go: standard output and error, and a file for each rank.

    Parameters
    ----------
    log_dir : str or None
        The folder for the files.
    """

    def __init__(self, log_dir: str | None) -> None:
        self._log_dir = log_dir
        self._logs: dict[int, BinaryIO] = {}
        self._coloured = {1: _is_terminal(sys.stdout), 2: _is_terminal(sys.stderr)}
        if log_dir is not None:
            os.makedirs(log_dir, exist_ok=True)  # noqa: PTH103 - as elsewhere: no pathlib

    def pass_on(self, ranks: list[RankOutput], patience_s: float) -> None:
        """Pass on what ranks say, and return once there was something, or the time is up."""
        reading = {stream: rank for rank in ranks for stream in rank.open}
        for stream in select.select(list(reading), [], [], patience_s)[0]:
            reading[stream].read(stream)

    def write(self, rank: RankOutput, target: int, line: bytes) -> None:
        """Write a line of a rank."""
        prefix = f"[{rank.rank} node {rank.node}] ".encode()
        if self._coloured[target]:
            colour = _COLOURS[rank.node % len(_COLOURS)]
            prefix = b"\033[%dm%s\033[0m" % (colour, prefix)
        stream = sys.stdout if target == 1 else sys.stderr
        raw = getattr(stream, "buffer", None)
        if raw is not None:
            stream.flush()
            raw.write(prefix + line + b"\n")
            raw.flush()
        elif stream is not None:  # a notebook's
            stream.write((prefix + line).decode(errors="backslashreplace") + "\n")
        if self._log_dir is not None:
            log = self._log_of(rank.rank)
            log.write(line + b"\n")
            log.flush()

    def close(self) -> None:
        """Close the files."""
        for log in self._logs.values():
            with contextlib.suppress(OSError):
                log.close()

    def _log_of(self, rank: int) -> BinaryIO:
        if rank not in self._logs:
            path = f"{self._log_dir}/rank-{rank}.log"
            self._logs[rank] = open(path, "wb")  # noqa: PTH123, SIM115 - closed by close()
        return self._logs[rank]


def _is_terminal(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and bool(isatty()) and "NO_COLOR" not in os.environ

"""Makes tasks wait for memory, for real, without privileges and without any risk of a kill.

A mapped file that was used often enough to count as working set is dropped (MADV_PAGEOUT) and read
back, over and over: the kernel counts the time of each refault as a stall.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

_MADV_PAGEOUT = 21  # Linux 5.4; Python has no name for it
_SIZE = 64 << 20
_PAGE = 4096


def total_us(path: str = "/proc/pressure/memory") -> int:
    """Read the ``some`` total of a pressure file, in microseconds."""
    return int(Path(path).read_text(encoding="ascii").split("total=", 2)[1].split()[0])


class StallMaker:
    """A child process that stalls while it is told to.

    Parameters
    ----------
    folder : Path
        Where its file goes: on a real disk, not in memory.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.NamedTemporaryFile(dir=folder, prefix="stall-")  # noqa: SIM115
        for _ in range(_SIZE >> 20):
            self._file.write(os.urandom(1 << 20))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.support.stall", self._file.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
            text=True,
            bufsize=1,
        )
        self._answer()

    def _tell(self, word: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(word + "\n")
        self._child.stdin.flush()

    def _answer(self) -> None:
        assert self._child.stdout is not None
        if not self._child.stdout.readline():
            raise RuntimeError("the process that makes stalls has ended")

    def begin(self) -> None:
        """Begin to stall."""
        self._tell("begin")

    def end(self) -> None:
        """Stall no longer, and wait until that is so."""
        self._tell("end")
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(30)
        self._child.stdout.close()
        self._file.close()


def _work(path: str) -> None:
    import select

    with Path(path).open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)

    def touch() -> int:
        return sum(pages[at] for at in range(0, len(pages), _PAGE))

    for _ in range(3):
        touch()
    print("ready", flush=True)
    on = False
    while True:
        if on:
            pages.madvise(_MADV_PAGEOUT)
            touch()
        ready, _, _ = select.select([sys.stdin], [], [], 0 if on else None)
        if not ready:
            continue
        word = sys.stdin.readline().strip()
        if not word:
            return
        on = word == "begin"
        if not on:
            print("quiet", flush=True)


if __name__ == "__main__":
    _work(sys.argv[1])

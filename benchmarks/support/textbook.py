"""The textbook's loops in C (peers/textbook.c), on memory of their own."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "peers" / "textbook.c"


class TextbookError(RuntimeError):
    """The loops could not be compiled, or got no memory; the message says why."""


class Textbook:
    """Measures latency and read bandwidth without numapool.

    Parameters
    ----------
    folder : Path
        Where the library is put.
    size_bytes : int
        How much memory is measured.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise TextbookError("the textbook's loops need a compiler: there is no `cc` on PATH")
        library = folder / "textbook.so"
        flags = ["-O3", "-march=native", "-shared", "-fPIC", "-pthread"]
        command = [compiler, *flags, "-o", str(library), str(SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise TextbookError(f"{' '.join(command)}: {done.stderr.strip()}")
        self._calls = ctypes.CDLL(str(library))
        self._calls.textbook_open.argtypes = [ctypes.c_size_t]
        self._calls.textbook_latency.argtypes = [ctypes.c_double, ctypes.c_int]
        self._calls.textbook_latency.restype = ctypes.c_double
        self._calls.textbook_read.argtypes = [
            ctypes.c_double,
            ctypes.POINTER(ctypes.c_int),
            ctypes.c_int,
        ]
        self._calls.textbook_read.restype = ctypes.c_double
        code = self._calls.textbook_open(size_bytes)
        if code != 0:
            raise TextbookError(f"no memory for the textbook's array: {os.strerror(code)}")

    def latency_ns(self, cpu: int, seconds: float) -> float:
        """Time of one dependent load."""
        found: float = self._calls.textbook_latency(seconds, cpu)
        return found

    def read_bytes_s(self, cpus: Sequence[int], seconds: float) -> float:
        """Bytes per second that all these CPUs read together."""
        found: float = self._calls.textbook_read(
            seconds, (ctypes.c_int * len(cpus))(*cpus), len(cpus)
        )
        return found

    def close(self) -> None:
        """Give the memory back."""
        self._calls.textbook_close()

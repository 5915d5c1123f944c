"""Fuzzes the Python surface, guided by coverage: surface.py TARGET [LIBFUZZER-ARGUMENT...].

`surface.py --list` tells the targets, each a group of calls in tests/python/support/surface*.py.
"""

from __future__ import annotations

import contextlib
import gc
import io
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "python"))

with (
    contextlib.redirect_stderr(io.StringIO()),
    atheris.instrument_imports(include=["numapool", "support"]),
):
    from support import surface, surface_data
    from support.draws import Draw

TARGETS = {**surface.TARGETS, **surface_data.TARGETS}


class Bytes(Draw):
    """Arguments drawn from the bytes that the fuzzer makes."""

    def __init__(self, data: bytes) -> None:
        self._from = atheris.FuzzedDataProvider(data)

    def integer(self, low: int, high: int) -> int:
        return int(self._from.ConsumeIntInRange(low, high))

    def real(self) -> float:
        return float(self._from.ConsumeFloat())

    def text(self, most: int) -> str:
        return str(self._from.ConsumeUnicode(self.integer(0, most)))

    def data(self, most: int) -> bytes:
        return bytes(self._from.ConsumeBytes(self.integer(0, most)))


def main() -> None:
    if sys.argv[1:] == ["--list"]:
        print(*(f"surface.{name}" for name in TARGETS), sep="\n")
        return
    target = TARGETS[sys.argv.pop(1)]
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        tools = surface.Tools(Path(folder))
        atheris.Setup(sys.argv, lambda data: target(Bytes(data), tools))
        gc.freeze()
        atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Makes the folder that stands for /sys/devices/system/node: two nodes with CPUs, one without.

Run on the Linux side, as ``python machine.py FOLDER``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def make(folder: Path) -> None:
    """Write nodes 0 and 1, which share the CPUs of this system, and 2, which has none."""
    cpus = os.cpu_count() or 1
    half = max(cpus // 2, 1)
    lists = {0: f"0-{half - 1}", 1: f"{half}-{cpus - 1}" if cpus > half else "", 2: ""}
    for node, text in lists.items():
        place = folder / f"node{node}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "cpulist").write_text(f"{text}\n")
        mask = sum(1 << cpu for cpu in _cpus(text))
        (place / "cpumap").write_text(f"{mask:x}\n")
    (folder / "online").write_text("0-2\n")
    (folder / "possible").write_text("0-2\n")


def _cpus(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last) + 1) if text else range(0)


if __name__ == "__main__":
    make(Path(sys.argv[1]))

"""Builds and runs the races in C++ (benchmarks/native)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = _ROOT / "build" / "bench" / "benchmarks" / "native" / "pool_race"

#: jemalloc reserves more thread-local memory than glibc keeps for libraries loaded at run time.
_ROOM_FOR_JEMALLOC = "glibc.rtld.optional_static_tls=8192"


class RaceError(RuntimeError):
    """The races could not be built or run; the message says why."""


def _run(command: list[str], **more: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=_ROOT, env=os.environ | more
    )
    if done.returncode != 0:
        raise RaceError(f"{' '.join(command)} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def pool_races(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Race the core's pool with general-purpose allocators.

    Returns
    -------
    dict of str to dict
        By race, by contender, nanoseconds for one cycle, one figure for each round.

    Raises
    ------
    RaceError
        Without CMake, Ninja or a compiler.
    """
    cmake = shutil.which("cmake")
    if cmake is None:
        raise RaceError("the races in C++ need cmake, and there is none on PATH")
    _run([cmake, "--preset", "bench"])
    _run([cmake, "--build", "--preset", "bench"])
    lines = _run([str(_PROGRAM), str(rounds)], GLIBC_TUNABLES=_ROOM_FOR_JEMALLOC).splitlines()
    return {race["race"]: race["times"] for race in map(json.loads, lines)}

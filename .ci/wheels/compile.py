"""Compiles the core once for each target, and for each Python the module with it (by CMake)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pybind11

from . import headers, windows
from .matrix import Cell, Target
from .places import BUILD, ROOT


def core(target: Target) -> Path:
    """Return the core for `target`, a static library."""
    folder = BUILD / target.name / "core"
    _configure(folder, target, NUMAPOOL_BUILD_MODULE="OFF")
    library = f"numapool_core_{target.platform}"
    _build(folder, library)
    return folder / f"lib{library}.a"


def module(cell: Cell) -> Path:
    """Return the extension module of `cell`."""
    folder = BUILD / cell.target.name / cell.python.tag
    # Headers for a CPython without a GIL are refused unless they are asked for (FindPython).
    gil_disabled = "ON" if cell.python.free_threaded else "OFF"
    own: dict[str, str | Path] = {}
    if cell.target.platform == "windows":
        own["Python_LIBRARY"] = windows.import_library(cell)
    _configure(
        folder,
        cell.target,
        NUMAPOOL_CORE=core(cell.target),
        Python_INCLUDE_DIR=headers.prepared(cell),
        Python_FIND_ABI=f"ANY;ANY;ANY;{gil_disabled}",
        PYTHON_IS_DEBUG="0",  # or pybind11 guesses this and the next by the Python that builds
        PYTHON_MODULE_EXTENSION=cell.module.removeprefix("_core"),
        pybind11_DIR=pybind11.get_cmake_dir(),
        **own,
    )
    _build(folder, "_core")
    built = folder / "csrc" / "bindings" / cell.module
    if not cell.target.tag.startswith("musllinux"):
        return built
    # zig links libc.so; in systems of musl it has this name, which auditwheel expects.
    named = folder / cell.module
    shutil.copy(built, named)
    ours = f"libc.musl-{cell.target.processor}.so.1"
    run("patchelf", "--replace-needed", "libc.so", ours, named)
    return named


def zig() -> Path:
    """Return zig's program, of the package ziglang."""
    found = importlib.util.find_spec("ziglang")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).with_name("zig")


def _configure(folder: Path, target: Target, **values: str | Path) -> None:
    if not (folder / "build.ninja").exists():
        shutil.rmtree(folder, ignore_errors=True)
    if target.zig is not None:
        values |= {"NUMAPOOL_ZIG": zig(), "NUMAPOOL_ZIG_TARGET": target.zig}
    compiler = "mingw" if target.zig is None else "zig"
    values |= {
        "CMAKE_TOOLCHAIN_FILE": ROOT / "csrc" / f"{compiler}.cmake",
        "CMAKE_BUILD_TYPE": "Release",
        "NUMAPOOL_UNITY": "ON",
        "NUMAPOOL_WERROR": "ON",
    }
    defines = [f"-D{name}={value}" for name, value in values.items()]
    run("cmake", "-G", "Ninja", "-S", ROOT, "-B", folder, *defines)


def _build(folder: Path, target: str) -> None:
    run("cmake", "--build", folder, "--target", target)


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command that may run zig; it prints only if it fails."""
    # What zig compiles of its own, a libc++ for each target, is kept beside the builds.
    cache = str(BUILD / "zig")
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stdout[-8000:] + done.stderr[-8000:]
        raise SystemExit(f"wheels: {' '.join(map(str, command))} failed:\n{said}")

"""Runs code in a fresh interpreter, for what must not happen to the test process itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from support import leash

TESTS = Path(__file__).parents[1]


def run(
    code: str, timeout_s: float = 120, env: Mapping[str, str] = {}, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run `code` with the test folder importable, and return what it printed and how it ended.

    `env` is added to the environment.
    """
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
    try:
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd="/",
            env={**os.environ, "PYTHONPATH": path, **env},
            **options,
        )
    except subprocess.TimeoutExpired as error:
        said = [(text or b"").decode(errors="replace") for text in (error.stdout, error.stderr)]
        raise AssertionError(f"not over after {timeout_s} s\n{said[0]}\n{said[1]}") from None


@contextlib.contextmanager
def running(arguments: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a program, and kill it at the end if a test that failed has left it running.

    A Popen alone would wait for it then, for ever. It does not outlive this thread either.
    """
    with subprocess.Popen(leash.leashed(arguments), **options) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def check(code: str, timeout_s: float = 120) -> str:
    """Run `code`, demand a clean end and return its standard output."""
    done = run(code, timeout_s)
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout

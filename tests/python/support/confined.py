"""Runs code as a container would: mounts of its own, no privileges, refused system calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from support import child

#: Shell commands that change what the mount namespace shows.
NO_SYS = "mount -t tmpfs none /sys"
READ_ONLY_SYS = "mount --rbind /sys /sys && mount -o remount,bind,ro /sys"
NO_STALL_FILES = "if [ -d /proc/pressure ]; then mount -t tmpfs none /proc/pressure; fi"
NOBODY = 65534
EXECUTE = 'exec "$0" -c "$1"'

PREPARE = """
import os
from support import seccomp
if {nobody}:
    # Read before the privileges go: a user may not be able to read where the tests lie.
    import numpy, rich.console, numapool.cli.app
    from numapool import *
    from numapool.cli import doctor
    os.setgroups([]); os.setresgid({nobody}, {nobody}, {nobody})
    os.setresuid({nobody}, {nobody}, {nobody})
if {calls!r}:
    seccomp.refuse({calls!r}, {errno})
"""


def check(
    code: str,
    *,
    mounts: tuple[str, ...] = (),
    calls: tuple[str, ...] = (),
    errno: int = 1,
    unprivileged: bool = False,
) -> str:
    """Run `code` confined so, demand a clean end and return its standard output.

    Skips where this system makes no mount namespace for us; `unprivileged` needs root.
    """
    if unprivileged and os.geteuid() != 0:
        unprivileged = False  # it is so already
    prepare = PREPARE.format(nobody=NOBODY if unprivileged else 0, calls=list(calls), errno=errno)
    program = prepare + textwrap.dedent(code)
    if not mounts:
        return child.check(program)
    unshare = [shutil.which("unshare") or "unshare", "--mount", "--propagation", "private"]
    script = " && ".join(mounts)
    for options in ([], ["--map-root-user"]):
        tried = subprocess.run([*unshare, *options, "sh", "-ec", script], capture_output=True)
        if tried.returncode != 0:
            continue
        path = os.pathsep.join(filter(None, [str(child.TESTS), os.environ.get("PYTHONPATH", "")]))
        done = subprocess.run(
            [*unshare, *options, "sh", "-ec", f"{script}; {EXECUTE}", sys.executable, program],
            capture_output=True,
            text=True,
            timeout=120,
            cwd="/",
            env={**os.environ, "PYTHONPATH": path},
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout
    pytest.skip("this system lets us make no mount namespace (unshare --mount)")

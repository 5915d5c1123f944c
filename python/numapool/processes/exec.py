"""Becomes another program, as if the shell had started that one."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what signal is made of, without enum
import errno
import os
import sys

#: As shells have them.
NOT_FOUND, NOT_EXECUTABLE = 127, 126

# Where Python finds a locale without UTF-8, it sets this variable for itself (PEP 538).
_COERCED = "LC_CTYPE"
_PR_SET_PDEATHSIG = 1  # prctl(2)
_ENVIRONMENT = "/proc/self/environ"


def become(command: list[str]) -> tuple[int, str]:
    """Replace this process by a program, which keeps the process id, CPUs and memory policy.

    The program is looked for in ``PATH``, unless it has a slash. A text without ``#!`` is run by
    the shell, as execvp(3) does. What the interpreter has changed is put back: signals that it
    ignores, and a variable that it sets.

    Returns
    -------
    tuple
        Where it fails: the exit status that shells have then, and why.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
    environment = _as_it_was(dict(os.environ))
    name = command[0]
    # As os.get_exec_path() does, which loads warnings.
    path = environment.get("PATH", os.defpath)
    folders = [""] if "/" in name else path.split(os.pathsep)
    error: OSError | None = None
    for folder in folders:
        try:
            _execute(os.path.join(folder, name), command, environment)  # noqa: PTH118
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as failure:
            error = failure
            if failure.errno != errno.EACCES:  # else another folder may have it
                break
    if error is None:
        return NOT_FOUND, f"{name}: not found"
    return NOT_EXECUTABLE, f"{name}: {error.strerror}"


def end_with(parent: int) -> bool:
    """Have the kernel kill this process when the one that started it ends; False if it has."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, _signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent  # else it ended before


def _execute(path: str, command: list[str], environment: dict[str, str]) -> None:
    try:
        os.execve(path, command, environment)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        os.execve("/bin/sh", ["/bin/sh", path, *command[1:]], environment)


def _as_it_was(environment: dict[str, str]) -> dict[str, str]:
    """Leave out the variable that the interpreter set for itself."""
    if _COERCED in environment:
        try:
            with open(_ENVIRONMENT, "rb") as file:  # noqa: PTH123 - no pathlib
                given = file.read().split(b"\0")
        except OSError:
            return environment
        if not any(one.startswith(_COERCED.encode() + b"=") for one in given):
            del environment[_COERCED]
    return environment

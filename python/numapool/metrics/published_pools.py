"""Lets ``numapool watch`` of the same user see this process's pools, and rehearse pressure."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from numapool.base import arguments
from numapool.pools.pool import pools_of_this_process
from numapool.pressure.monitor import monitors_of_this_process
from numapool.pressure.policy import PressureLevel

if TYPE_CHECKING:
    from pathlib import Path

_STALE_S = 10.0
#: Attempts at what Windows refuses while another process has the file open: some 50 ms.
_TRIES = 50 if sys.platform == "win32" else 1
_WISH = ".rehearse"
_LONGEST_S = 3600.0


def _folder() -> Path:
    """Return the user's own folder, which others cannot write to; made where it is missing.

    Raises
    ------
    OSError
        It belongs to somebody else, or others may write to it.
    """
    import tempfile  # slow to load, as pathlib is, and seldom needed
    from pathlib import Path

    # A relative path must be ignored (XDG Base Directory Specification, "Basics").
    base = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    root = base if base.is_absolute() and base.is_dir() else Path(tempfile.gettempdir())
    if sys.platform == "win32":  # the temporary folder is the user's own there, by its access list
        folder = root / "numapool"
        folder.mkdir(exist_ok=True)
        return folder
    folder = root / f"numapool-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or folder.is_symlink():
        raise PermissionError(f"{folder} must be a folder of this user alone")
    return folder


def _namespace() -> int:
    """Return the number of this process's PID namespace, in which its PID means something."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116
    except OSError:  # no namespaces here
        return 0


def _file_name(namespace: int, pid: int) -> str:
    """Return the file of a process: containers may share the folder, and have the same PIDs."""
    return f"{namespace}-{pid}.json"


class Publication:
    """Writes the statistics of all pools of this process to a small file, now and then."""

    def __init__(self, interval_s: float, rehearsals: bool = False) -> None:
        self._interval_s = interval_s
        self._rehearsals = rehearsals
        self._over_s: float | None = None  # when a rehearsal ends, and of which node it is
        self._node_id: int | None = None
        self._path = _folder() / _file_name(_namespace(), os.getpid())
        self._pid = os.getpid()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="numapool publishing", daemon=True)
        self._write()
        self._thread.start()

    def _document(self) -> dict[str, Any]:
        return {
            "pid": self._pid,
            "program": os.path.basename(sys.argv[0]) if sys.argv else "",  # noqa: PTH119
            "time": time.time(),
            "rehearsals": self._rehearsals,
            "pools": [
                {"name": pool.name, **pool.statistics().to_dict()}
                for pool in pools_of_this_process()
            ],
        }

    def _write(self) -> None:
        import json

        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(self._document()), encoding="utf-8")
        try:
            beside.replace(self._path)  # readers see all of it, or the previous contents
        except OSError:  # on Windows while a reader has it open: the next update will do
            _remove(beside)
            raise

    def _run(self) -> None:
        while not self._ends.wait(self._interval_s):
            with contextlib.suppress(OSError):  # the disk may be full; the next time it may not
                self._write()
            if self._rehearsals:
                self._rehearse()

    def _rehearse(self) -> None:
        """Begin the rehearsal that was asked for, or end one whose time is up."""
        now = time.monotonic()
        wish = _wish_in(self._path.with_suffix(_WISH))
        if wish is not None:
            level, demand_bytes, self._node_id, seconds = wish
            self._over_s = now + seconds
        elif self._over_s is not None and now >= self._over_s:
            level, demand_bytes, self._over_s = PressureLevel.NONE, 0, None
        else:
            return
        for monitor in monitors_of_this_process():
            monitor._rehearse(level, demand_bytes, self._node_id)

    def close(self) -> None:
        """Stop, and take the file away. Idempotent."""
        if self._pid != os.getpid():
            return  # a fork: the file and the thread, which may hold the event's lock, are not here
        self._ends.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        _remove(self._path)
        _remove(self._path.with_suffix(_WISH))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def publish_pools(interval_s: float = 1.0, *, rehearsals: bool = False) -> Publication:
    """Let ``numapool watch`` of the same user show this process's pools, until closed.

    Parameters
    ----------
    interval_s : float
        Seconds between updates.
    rehearsals : bool
        Whether ``numapool watch PID --rehearse`` of the same user may have the monitors of this
        process rehearse pressure (``numapool.testing.pressure``): they trim pools and tell
        handlers.

    Raises
    ------
    ValueError
        An interval that is not positive.
    OSError
        The file (in $XDG_RUNTIME_DIR, else in the temporary folder) cannot be written.
    """
    seconds = arguments.real("interval_s", interval_s)
    if not 0 < seconds <= _LONGEST_S:
        raise ValueError(
            arguments.must_be("interval_s", "more than 0 and at most 3600", interval_s)
        )
    return Publication(seconds, arguments.flag("rehearsals", rehearsals))


def ask_for_rehearsal(
    pid: int, level: PressureLevel, demand_bytes: int, node_id: int | None, seconds: float
) -> None:
    """Ask a process of this user for a rehearsal; it begins with the process's next update.

    Raises
    ------
    OSError
        The file of the process cannot be written.
    """
    import json

    path = _folder() / _file_name(_namespace(), pid)
    wish = {"level": level.name, "demand_bytes": demand_bytes, "node": node_id, "seconds": seconds}
    beside = path.with_suffix(".ask")
    beside.write_text(json.dumps(wish), encoding="utf-8")
    beside.replace(path.with_suffix(_WISH))


def _wish_in(path: Path) -> tuple[PressureLevel, int, int | None, float] | None:
    """Take the request in a file; None if there is none, or it makes no sense."""
    import json

    try:
        text = path.read_text(encoding="utf-8")
        path.unlink()
        wish = json.loads(text)
        node = wish["node"]
        return (
            PressureLevel[wish["level"]],
            min(max(0, int(wish["demand_bytes"])), 2**63),
            None if node is None else arguments.node("node", int(node)),
            min(max(0.0, float(wish["seconds"])), _LONGEST_S),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _text_of(path: Path) -> str:
    """Read a file that its writer may be replacing; Windows refuses to open it for that moment."""
    for _ in range(_TRIES - 1):
        try:
            return path.read_text(encoding="utf-8")
        except PermissionError:
            time.sleep(0.001)
    return path.read_text(encoding="utf-8")


def _remove(path: Path) -> None:
    """Remove a file, which may be gone; Windows refuses while a reader has it open."""
    for _ in range(_TRIES - 1):
        try:
            path.unlink(missing_ok=True)
        except PermissionError:
            time.sleep(0.001)
        else:
            return
    path.unlink(missing_ok=True)


def published_pools() -> Iterator[dict[str, Any]]:
    """Read what this user's processes publish; processes that are gone are left out."""
    import json

    try:
        files = sorted(_folder().glob("*.json"))
    except OSError:
        return
    here = _namespace()
    for path in files:
        try:
            namespace, pid = map(int, path.stem.split("-"))
            # On Windows this would be Ctrl-C for the process; elsewhere it may be another's PID.
            if sys.platform != "win32" and namespace == here:
                os.kill(pid, 0)
            document = json.loads(_text_of(path))
            age_s = time.time() - document["time"]
            if age_s > 2 * _LONGEST_S and namespace != here:
                path.unlink(missing_ok=True)  # no process of this namespace can know better
            if age_s > _STALE_S:
                continue
        except ProcessLookupError:
            path.unlink(missing_ok=True)
        except (OSError, ValueError, OverflowError, KeyError, TypeError):
            continue
        else:
            yield document

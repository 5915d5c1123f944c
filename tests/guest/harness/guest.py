"""One running guest: boot it, run things inside, talk to QEMU, read its console, end it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from . import initramfs, kernel, qemu
from .errors import GuestError, Unavailable
from .machine import Machine
from .process import AgentLink, GuestProcess, Starvation, Worker
from .qmp import QmpClient

#: A boot takes 3 to 6 s on two idle cores. Time in which the guest waits for a processor of the
#: host does not count (process.py).
BOOT_TIMEOUT_S = 90.0
RUN_TIMEOUT_S = 90.0
_SOCKET_TIMEOUT_S = 120.0
_CONSOLE_TAIL_LINES = 60
_HERE = Path(__file__).resolve().parent


class Guest:
    """A guest, alive from construction to :meth:`close`; also a context manager.

    Parameters
    ----------
    machine
        What to boot.
    boot_timeout_s
        How long the guest may take until its agent answers, waits for a processor aside.

    Attributes
    ----------
    machine : Machine
    release : str
        The running kernel's release.
    boot_s : float
        Seconds from the start of QEMU to the agent's first word.
    share : pathlib.Path
        A folder of the host's, writable inside the guest as ``/run/share``.
    pid : int
        QEMU's process id.
    cpu_s : float
        Seconds of the host's processors that QEMU used; known once the guest is closed.

    Raises
    ------
    Unavailable
        Something that guests need is not installed here.
    GuestError
        It did not boot; the message ends with its console.
    """

    def __init__(self, machine: Machine, *, boot_timeout_s: float = BOOT_TIMEOUT_S) -> None:
        if sys.platform != "linux" or os.uname().machine != "x86_64":
            raise Unavailable("guests share the host's root file system: they need Linux on x86-64")
        self.machine = machine
        self._folder = Path(tempfile.mkdtemp(prefix=f"guest-{machine.name}."))
        self.share = self._folder / "share"
        self.share.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._link: AgentLink | None = None
        self._qmp: QmpClient | None = None
        self.cpu_s = 0.0
        try:
            self._boot(boot_timeout_s)
        except BaseException:
            self.close()
            raise

    def _boot(self, timeout_s: float) -> None:
        image = kernel.provide(self.machine.kernel)
        command = [sys.executable, "-P", str(_HERE / "agent.py")]
        (self._folder / "initramfs").write_bytes(
            initramfs.build(image, command, _environment(image))
        )
        began = time.monotonic()
        with (self._folder / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*_leash(), *qemu.command_line(self.machine, image, self._folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._qmp = QmpClient(self._connect("qmp"))
        self._link = AgentLink(self._connect("agent"), self.failure, Starvation(self.pid))
        self.release = str(self._link.hello(timeout_s)["hello"])
        self.boot_s = time.monotonic() - began

    def _connect(self, name: str) -> socket.socket:
        assert self._process is not None
        end = time.monotonic() + _SOCKET_TIMEOUT_S
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self._folder / name))
                return connection
            except OSError as error:
                connection.close()
                if self._process.poll() is not None or time.monotonic() > end:
                    raise self.failure(f"QEMU offers no {name} socket: {error}") from error
                time.sleep(0.02)

    def start(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        directory: str | Path | None = None,
        merge: bool = True,
    ) -> GuestProcess:
        """Start a process inside; its standard error goes to the console unless ``merge``."""
        assert self._link is not None
        options = {
            "environment": dict(environment or {}),
            "directory": directory and str(directory),
            "merge": merge,
        }
        return self._link.start(argv, **options)

    def run(
        self, argv: Sequence[str], *, timeout_s: float = RUN_TIMEOUT_S, check: bool = True
    ) -> str:
        """Run a program inside to its end and return what it wrote.

        Raises
        ------
        GuestError
            It ended with another status than 0 (unless ``check`` is False), took too long, or the
            guest died.
        """
        process = self.start(argv)
        output = process.wait(timeout_s)
        if check and process.code != 0:
            raise GuestError(f"in the guest, {' '.join(argv)} ended with {process.code}: {output}")
        return output

    def worker(self) -> Worker:
        """A fresh Python process inside, for calls of test functions."""
        return Worker(
            self.start([sys.executable, "-P", str(_HERE / "worker.py"), *sys.path], merge=False)
        )

    def qmp(self, command: str, **arguments: object) -> Any:
        """Run a QMP command, spelled as QEMU spells it, and return its result."""
        assert self._qmp is not None
        return self._qmp.execute(command, **arguments)

    def shared_memory_bytes(self) -> int:
        """Host memory behind the guest's: RssShmem of QEMU, for machines with shared memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("RssShmem:"):
                return int(line.split()[1]) * 1024
        raise self.failure("QEMU has no RssShmem: it has ended")

    @property
    def monitor(self) -> QmpClient:
        """The QMP connection, for its events."""
        assert self._qmp is not None
        return self._qmp

    @property
    def console(self) -> str:
        """All that the guest has written to its serial console so far, and QEMU to its output."""
        texts = [self._folder / "console", self._folder / "qemu.log"]
        return "\n".join(path.read_text(errors="replace") for path in texts if path.exists())

    def console_tail(self) -> str:
        """The console's last lines."""
        return "\n".join(self.console.splitlines()[-_CONSOLE_TAIL_LINES:])

    def failure(self, what: str) -> GuestError:
        """An error about this guest that shows its console."""
        return GuestError(f"{self.machine.name}: {what}\n--- console ---\n{self.console_tail()}")

    def close(self) -> None:
        """End the guest at once, as it holds nothing worth saving; may be called again."""
        for connection in (self._link, self._qmp):
            if connection is not None:
                connection.close()
        if self._process is not None and self._process.poll() is None:
            self.cpu_s = _cpu_s(self._process.pid)
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Guest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _cpu_s(pid: int) -> float:
    """Processor time of a process so far, of all its threads (proc_pid_stat(5))."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _leash() -> list[str]:
    """Keep QEMU from outliving the thread that runs this machine's tests, if that is killed."""
    script = _HERE.parents[1] / "python" / "support" / "leash.py"
    return [sys.executable, "-I", str(script), str(os.getpid())]


def _environment(image: kernel.Kernel) -> dict[str, str]:
    """A small, plain environment: of the host's, only where Python and modules are."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "GUEST_KERNEL_TREE": str(image.tree),
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }

"""Guest side: starts processes and carries their lines over a virtio-serial port.

Every message is one line of JSON. From the host, about a process that the host numbers:
``{"id", "spawn": argv, "environment", "directory", "merge"}`` starts it, ``{"id", "send": text}``
writes a line to its standard input, ``{"id", "kill": signal}`` sends it a signal. To the host:
``{"hello": kernel release, "uptime_s"}`` once, then ``{"id", "line": text}`` for each line of
standard output (and of standard error if ``merge``, which otherwise goes to the console), and
``{"id", "code": status}`` at the end. The agent ends, and the guest with it, when the host hangs
up.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

_PORT_NAME = "agent"
_PORT_TIMEOUT_S = 120.0


class Agent:
    """Serves one port until the host hangs up."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._processes: dict[int, subprocess.Popen[str]] = {}

    def serve(self) -> None:
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
        self._send({"hello": os.uname().release, "uptime_s": uptime_s})
        pending = b""
        while True:
            # A port whose host end is closed reads as empty at once and forever.
            select.select([self._port], [], [])
            received = os.read(self._port, 65536)
            if not received:
                return
            pending += received
            *lines, pending = pending.split(b"\n")
            for line in lines:
                self._handle(json.loads(line))

    def _handle(self, message: dict[str, Any]) -> None:
        number = message["id"]
        process = self._processes.get(number)
        if "spawn" in message:
            try:
                self._spawn(number, message)
            except OSError as error:
                self._send({"id": number, "line": f"cannot start {message['spawn']}: {error}"})
                self._send({"id": number, "code": 127})
        elif process is None:
            return  # it has ended meanwhile; the host learns by its code
        elif "send" in message:
            assert process.stdin is not None
            try:
                process.stdin.write(message["send"] + "\n")
                process.stdin.flush()
            except BrokenPipeError:
                pass
        elif "kill" in message:
            process.send_signal(message["kill"])

    def _spawn(self, number: int, message: dict[str, Any]) -> None:
        process = subprocess.Popen(
            message["spawn"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if message.get("merge") else None,
            cwd=message.get("directory"),
            env=os.environ | message.get("environment", {}),
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._processes[number] = process
        threading.Thread(target=self._follow, args=(number, process), daemon=True).start()

    def _follow(self, number: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._send({"id": number, "line": line.rstrip("\n")})
        code = process.wait()
        del self._processes[number]
        self._send({"id": number, "code": code})

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._port, data) :]


def open_port() -> int:
    """A descriptor of the agent's port; found in sysfs, as no udev makes links here."""
    end = time.monotonic() + _PORT_TIMEOUT_S
    while time.monotonic() < end:
        for name in Path("/sys/class/virtio-ports").glob("*/name"):
            if name.read_text().strip() == _PORT_NAME:
                return os.open(f"/dev/{name.parent.name}", os.O_RDWR | os.O_CLOEXEC)
        time.sleep(0.05)
    sys.exit(f"no virtio-serial port is called {_PORT_NAME}")


if __name__ == "__main__":
    Agent(open_port()).serve()

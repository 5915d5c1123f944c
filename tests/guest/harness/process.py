"""Host side of the agent's protocol: processes inside a guest, as objects."""

from __future__ import annotations

import itertools
import json
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from .errors import GuestError

_Message = dict[str, Any]
_SLICE_S = 1.0


class Waits(Protocol):
    """Says how long a guest waited for processors; see :class:`Starvation`."""

    def waits_s(self) -> dict[str, float]: ...
    def since(self, before: dict[str, float]) -> float: ...


class Starvation:
    """How long the threads of a process wait for a processor (Documentation/scheduler/sched-stats).

    Parameters
    ----------
    pid
        The process: QEMU, each of whose threads is a CPU of the guest.
    """

    def __init__(self, pid: int) -> None:
        self._tasks = Path(f"/proc/{pid}/task")

    def waits_s(self) -> dict[str, float]:
        """Seconds of waiting so far by thread; empty where the host's kernel does not count."""
        waits = {}
        for task in self._tasks.glob("*"):
            with suppress(OSError, IndexError):  # a thread that has ended meanwhile
                waits[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
        return waits

    def since(self, before: dict[str, float]) -> float:
        """Seconds that the thread which waited longest has waited since :meth:`waits_s`."""
        return max((now - before.get(name, now) for name, now in self.waits_s().items()), default=0)


class AgentLink:
    """The connection to a guest's agent; one thread hands each message to its process.

    Parameters
    ----------
    connection
        Connected to the agent's port; owned from here on.
    describe
        Says what is known about the guest when it does not answer, for messages of errors.
    starvation
        What the guest's patience is measured by; see :class:`Starvation`.
    """

    def __init__(
        self,
        connection: socket.socket,
        describe: Callable[[str], GuestError],
        starvation: Waits,
    ) -> None:
        self._connection = connection
        self._failure = describe
        self._starvation = starvation
        self._numbers = itertools.count(1)
        self._inboxes: dict[int, queue.Queue[_Message]] = {0: queue.Queue()}
        self._lock = threading.Lock()
        self._closed = False
        threading.Thread(target=self._read, name="guest agent", daemon=True).start()

    def hello(self, timeout_s: float) -> _Message:
        """The agent's first message; waits for the guest to boot."""
        return self.receive(0, timeout_s, "boot")

    def start(self, argv: Sequence[str], **options: object) -> GuestProcess:
        """Start a process in the guest; ``options`` as in the agent's protocol."""
        with self._lock:
            number = next(self._numbers)
            self._inboxes[number] = queue.Queue()
        self.send({"id": number, "spawn": list(argv), **options})
        return GuestProcess(self, number, argv)

    def send(self, message: _Message) -> None:
        data = json.dumps(message).encode() + b"\n"
        try:
            with self._lock:
                self._connection.sendall(data)
        except OSError as error:
            raise self._failure(f"the guest takes no messages: {error}") from error

    def receive(self, number: int, timeout_s: float, what: str) -> _Message:
        """The next message for process ``number``.

        Raises
        ------
        GuestError
            The guest died, or said nothing for ``timeout_s``. Time in which it waited for a
            processor of the host does not count.
        """
        message = self._message(number, timeout_s)
        if message is None:
            raise self._failure(f"the guest said nothing for {timeout_s:.0f} s: {what}")
        if "lost" in message:
            self._inboxes[number].put(message)
            raise self._failure(f"the guest died: {what}")
        return message

    def _message(self, number: int, timeout_s: float) -> _Message | None:
        left_s = timeout_s
        while left_s > 0:
            waits, began = self._starvation.waits_s(), time.monotonic()
            try:
                return self._inboxes[number].get(timeout=min(left_s, _SLICE_S))
            except queue.Empty:
                passed_s = time.monotonic() - began
                left_s -= max(0.0, passed_s - self._starvation.since(waits))
        return None

    def close(self) -> None:
        self._closed = True
        self._connection.close()

    def _read(self) -> None:
        pending = b""
        try:
            while received := self._connection.recv(1 << 16):
                pending += received
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    message = json.loads(line)
                    self._inboxes[message.get("id", 0)].put(message)
        except OSError:
            pass
        with self._lock:
            for inbox in self._inboxes.values():
                inbox.put({"lost": True})


class GuestProcess:
    """A process inside a guest. Its output must be read by one thread at a time."""

    def __init__(self, link: AgentLink, number: int, argv: Sequence[str]) -> None:
        self._link = link
        self._number = number
        self._what = " ".join(argv)
        self.code: int | None = None

    def lines(self, timeout_s: float) -> Iterator[str]:
        """Lines of output as they come, until the process ends; ``timeout_s`` is for each one."""
        while (line := self.line(timeout_s)) is not None:
            yield line

    def line(self, timeout_s: float) -> str | None:
        """The next line of output; None once the process has ended and ``code`` is known."""
        if self.code is not None:
            return None
        message = self._link.receive(self._number, timeout_s, self._what)
        if "code" in message:
            self.code = message["code"]
            return None
        return str(message["line"])

    def wait(self, timeout_s: float) -> str:
        """The rest of the output, once the process has ended; ``timeout_s`` is for each line."""
        return "\n".join(self.lines(timeout_s))

    def send(self, text: str) -> None:
        """Write one line to its standard input."""
        self._link.send({"id": self._number, "send": text})

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal; nothing happens if it has ended."""
        self._link.send({"id": self._number, "kill": int(number)})


class Worker:
    """A Python process inside a guest that calls functions of test modules (see worker.py)."""

    def __init__(self, process: GuestProcess) -> None:
        self.process = process

    def call(
        self,
        function: Callable[..., Any],
        *arguments: object,
        timeout_s: float = 90.0,
        **keywords: object,
    ) -> Any:
        """Call a module-level function in the guest; arguments and result travel as JSON.

        Raises
        ------
        AssertionError
            The function raised; the message is its traceback.
        GuestError
            The process ended (an OOM kill, for example), or did not answer in ``timeout_s``.
        """
        self.begin(function, *arguments, **keywords)
        return self.finish(timeout_s)

    def begin(self, function: Callable[..., Any], *arguments: object, **keywords: object) -> None:
        """Start a call without waiting for it."""
        request: Mapping[str, object] = {
            "module": function.__module__,
            "function": function.__name__,
            "arguments": arguments,
            "keywords": keywords,
        }
        self.process.send(json.dumps(request))

    def finish(self, timeout_s: float = 90.0) -> Any:
        """The result of the call begun last; raises as :meth:`call`."""
        line = self.process.line(timeout_s)
        if line is None:
            raise GuestError(f"the worker ended with {self.process.code} during a call")
        reply = json.loads(line)
        if "error" in reply:
            raise AssertionError(f"in the guest:\n{reply['error']}")
        return reply["result"]

"""A client for QEMU's machine protocol (QMP) on a unix socket: commands, answers, events."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from typing import Any

from .errors import GuestError

_ANSWER_TIMEOUT_S = 300.0


class QmpClient:
    """Sends commands, from one thread at a time, and keeps the events that come meanwhile.

    Attributes
    ----------
    events
        Every event so far with the monotonic time of its arrival, oldest first.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.events: list[tuple[float, dict[str, Any]]] = []
        self._connection = connection
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._arrival = threading.Condition()
        threading.Thread(target=self._read, name="qmp", daemon=True).start()
        self._answer("greeting")
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: object) -> Any:
        """Run one command and return its result.

        Raises
        ------
        GuestError
            QEMU refused it (the message has its reason) or did not answer.
        """
        request: dict[str, object] = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        self._connection.sendall(json.dumps(request).encode())
        answer = self._answer(command)
        if "error" in answer:
            raise GuestError(f"QEMU refused {command} {arguments}: {answer['error'].get('desc')}")
        return answer["return"]

    def wait_event(self, name: str, timeout_s: float, since: float = 0.0) -> dict[str, Any]:
        """The first event called ``name`` after ``since`` (monotonic seconds); waits for it."""
        end = time.monotonic() + timeout_s
        with self._arrival:
            while True:
                for arrived, event in self.events:
                    if arrived >= since and event["event"] == name:
                        return event
                if not self._arrival.wait(end - time.monotonic()):
                    raise GuestError(
                        f"no QMP event {name} within {timeout_s:.0f} s; seen: {self.events}"
                    )

    def close(self) -> None:
        self._connection.close()

    def _answer(self, what: str) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=_ANSWER_TIMEOUT_S)
        except queue.Empty:
            raise GuestError(
                f"QEMU did not answer {what} within {_ANSWER_TIMEOUT_S:.0f} s"
            ) from None
        if "lost" in answer:
            raise GuestError(f"QEMU ended before it answered {what}")
        return answer

    def _read(self) -> None:
        try:
            with self._connection.makefile("rb") as lines:
                for line in lines:
                    message = json.loads(line)
                    if "event" in message:
                        with self._arrival:
                            self.events.append((time.monotonic(), message))
                            self._arrival.notify_all()
                    else:
                        self._answers.put(message)
        except (OSError, ValueError):
            pass
        self._answers.put({"lost": True})

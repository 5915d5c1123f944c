"""The host, as a test inside its guest sees it: QEMU's controls, and the memory that it spends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from ..harness.errors import GuestError

#: Under which the pytest inside a guest knows its way to the host (harness/inside.py).
LINK_NAME = "link to the host of this guest"


class Host:
    """What the fixture ``host`` gives. Each call takes about 0.1 s; any thread may make it.

    Every method raises GuestError with the reason where the host refuses.
    """

    def __init__(self, ask: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._ask = ask

    def qmp(self, command: str, **arguments: object) -> Any:
        """Run a QMP command, spelled as QEMU spells it, and return its result."""
        return self._request({"qmp": command, "arguments": arguments})

    def shared_memory_bytes(self) -> int:
        """Host memory behind the guest's (RssShmem of QEMU); of machines with shared memory."""
        return int(self._request({"shared_memory_bytes": True}))

    def tell(self, text: str) -> None:
        """Say how far a long test is; ``pytest -s`` shows it, and the host knows that it lives."""
        self._request({"tell": text})

    def leave_guest(self, size_bytes: int) -> None:
        """Ask the balloon to take all but ``size_bytes`` of the guest's memory, without waiting."""
        self.qmp("balloon", value=size_bytes)

    def guest_bytes(self) -> int:
        """The guest's memory less what its balloon holds, as the device tells the host."""
        return int(self.qmp("query-balloon")["actual"])

    def wait_for_guest_bytes(self, size_bytes: int, timeout_s: float) -> float:
        """Wait until the balloon has left no more, or no less, and return the seconds it took.

        Parameters
        ----------
        size_bytes
            What :meth:`leave_guest` was given.
        timeout_s
            Fails the test after this.
        """
        began = time.monotonic()
        while (actual := self.guest_bytes()) != size_bytes:
            took_s = time.monotonic() - began
            assert took_s < timeout_s, f"{actual} bytes of {size_bytes} after {took_s:.1f} s"
            time.sleep(0.1)
        return time.monotonic() - began

    def _request(self, request: dict[str, Any]) -> Any:
        answer = self._ask(request)
        if "error" in answer:
            raise GuestError(answer["error"])
        return answer["result"]


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Host:
    """The host of the guest that this test runs in."""
    link = request.config.pluginmanager.get_plugin(LINK_NAME)
    assert link is not None, "only tests that run inside a guest have a host"
    return Host(link.ask)

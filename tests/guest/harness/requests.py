"""Host side of what tests inside a guest ask of their host; support/host.py is the other side.

``{"qmp": command, "arguments": {...}}`` runs a QMP command, ``{"shared_memory_bytes": true}`` asks
what host memory is behind the guest's, ``{"tell": text}`` is shown. Answers are ``{"result"}`` or
``{"error": text}``.
"""

from __future__ import annotations

import sys
from typing import Any

from .errors import GuestError
from .guest import Guest


def answer(guest: Guest, request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked and say what came of it."""
    try:
        if "qmp" in request:
            return {"result": guest.qmp(request["qmp"], **request["arguments"])}
        if "shared_memory_bytes" in request:
            return {"result": guest.shared_memory_bytes()}
        if "tell" in request:
            print(f"{guest.machine.name}: {request['tell']}", file=sys.stderr, flush=True)
            return {"result": None}
    except GuestError as error:
        return {"error": str(error)}
    return {"error": f"the host knows no such request: {request}"}

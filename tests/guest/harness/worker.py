"""Guest side: a process that calls functions of the test modules for a test that runs on the host.

One call per line of standard input, ``{"module", "function", "arguments", "keywords"}``; one answer
per line of standard output, ``{"result"}`` or ``{"error": traceback}``. What a function keeps in
its module stays there for the next call. Anything printed goes to the console.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Call one function and say what it returned or raised."""
    try:
        function = getattr(importlib.import_module(request["module"]), request["function"])
        return {"result": function(*request["arguments"], **request["keywords"])}
    except BaseException:  # whatever it is, the host's test shall see it
        return {"error": traceback.format_exc()}


def main() -> None:
    """Serve until standard input ends."""
    sys.path[:0] = [path for path in sys.argv[1:] if path not in sys.path]
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()

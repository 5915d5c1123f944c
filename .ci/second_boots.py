"""Prints the failed guest tests if each of them may get a second boot; else says why not."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

LIST = Path(__file__).parents[1] / "tests" / "guest" / "second_boots.toml"
MOST = 3


def reasons() -> dict[str, str]:
    """Why a test may fail by chance: "module::function", or "module" for all tests in it."""
    causes = tomllib.loads(LIST.read_text())["cause"]
    return {test: cause["reason"] for cause in causes for test in cause["tests"]}


def refusal(failed: list[str]) -> str | None:
    """Why these tests get no second boot; None if they do."""
    if not 1 <= len(failed) <= MOST:
        return f"{len(failed)} guest tests failed: only 1 to {MOST} get a second boot"
    listed = reasons()
    for test in failed:
        file, _, name = test.partition("::")
        module = Path(file).stem
        if module not in listed and f"{module}::{name.partition('[')[0]}" not in listed:
            return f"{test} gets no second boot: {LIST.name} does not list it"
    return None


def main() -> int:
    """Read the names that pytest kept in its cache, whose path is the argument."""
    path = Path(sys.argv[1])
    failed = sorted(json.loads(path.read_text())) if path.exists() else []
    if why := refusal(failed):
        print(why, file=sys.stderr)
        return 1
    print(*failed)
    return 0


if __name__ == "__main__":
    sys.exit(main())

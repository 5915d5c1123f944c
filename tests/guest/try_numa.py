"""Boots a machine of many nodes under QEMU, and runs a command of yours in it: `make try-numa`.

The guest sees this system's files, read-only, so that your environment and your program are there
under the same paths. What is written below /run/share comes back to a folder that is named at the
end. docs/try-without-numa.md says what it shows and what it cannot.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from .harness.errors import GuestError, Unavailable
from .harness.guest import Guest
from .harness.kernel import SERIES
from .harness.machine import Machine, Node

_SHOW = ("info", "demo")
_LONGEST_S = 3600.0


def machine_of(nodes: int, cpus: int, memory_mib: int, memory_only: int, series: str) -> Machine:
    """Describe a machine of so many nodes with CPUs, and so many behind them without."""
    found = [
        Node(
            node_id=number,
            memory_mib=memory_mib,
            cpus=tuple(range(number * cpus, (number + 1) * cpus)),
        )
        for number in range(nodes)
    ]
    found += [Node(node_id=nodes + number, memory_mib=memory_mib) for number in range(memory_only)]
    count = len(found)
    distances = tuple(
        tuple(10 if a == b else 21 if max(a, b) < nodes else 30 for b in range(count))
        for a in range(count)
    )
    return Machine(
        name="try-numa",
        nodes=tuple(found),
        cpu_count=nodes * cpus,
        distances=distances,
        kernel=series,
    )


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make try-numa", description="Run a command on an emulated machine of many nodes."
    )
    parser.add_argument("--nodes", type=int, default=2, help="nodes with CPUs (default: 2)")
    parser.add_argument("--cpus", type=int, default=1, help="CPUs of each (default: 1)")
    parser.add_argument("--memory", type=int, default=768, help="MiB of each node (default: 768)")
    parser.add_argument(
        "--memory-only", type=int, default=0, help="nodes without CPUs, as CXL memory has them"
    )
    parser.add_argument("--kernel", choices=sorted(SERIES), default="6.1")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of your venv")
    parser.add_argument("--directory", default=Path.cwd(), type=Path, help="where it starts")
    parser.add_argument("command", nargs="*", help="by default numapool info and demo")
    options = parser.parse_args(arguments)
    if min(options.nodes, options.cpus) < 1 or options.nodes * options.cpus > 64:
        parser.error("from 1 to 64 CPUs, and a node at least")
    if options.memory < 256 or options.memory_only < 0:
        parser.error("256 MiB on each node at least")
    return options


def main(arguments: list[str]) -> int:
    """Boot, run, and return the status of the last command."""
    options = _parsed(arguments)
    machine = machine_of(
        options.nodes, options.cpus, options.memory, options.memory_only, options.kernel
    )
    python = shutil.which(options.python) or options.python
    commands = (
        [options.command] if options.command else [[python, "-m", "numapool", one] for one in _SHOW]
    )
    try:
        with Guest(machine) as guest:
            print(f"try-numa: Linux {guest.release}, booted in {guest.boot_s:.0f} s", flush=True)
            status = 0
            for command in commands:
                status = _run(guest, command, python, options.directory) or status
            _keep(guest.share)
        return status
    except Unavailable as error:
        print(f"try-numa: {error}", file=sys.stderr)
        return 2
    except GuestError as error:
        print(f"try-numa: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(guest: Guest, command: list[str], python: str, directory: Path) -> int:
    """Run a command inside, line by line as it speaks."""
    print(f"try-numa: $ {' '.join(command)}", flush=True)
    programs = f"{Path(python).parent}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"PATH": programs, "COLUMNS": "100"}
    began = time.monotonic()
    process = guest.start(command, environment=environment, directory=directory.resolve())
    while True:
        line = process.line(_LONGEST_S)
        if line is None:
            break
        print(line, flush=True)
    print(f"try-numa: ended with {process.code} after {time.monotonic() - began:.0f} s", flush=True)
    return int(process.code or 0)


def _keep(share: Path) -> None:
    if any(share.iterdir()):
        kept = Path(tempfile.mkdtemp(prefix="try-numa-"))
        shutil.copytree(share, kept, dirs_exist_ok=True)
        print(f"try-numa: what was written to /run/share is in {kept}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

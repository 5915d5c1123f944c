"""What tests inherit from whoever started them, and what they leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from support import child, strays

#: Prints which of the signals that nohup and background jobs ignore are ignored or blocked.
STATE = """
import signal
used = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM)
ignored = [one.name for one in used if signal.getsignal(one) == signal.SIG_IGN]
print(ignored, sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
"""


def test_children_begin_with_default_signals() -> None:
    started_by = """
        import os, signal, subprocess, sys
        for one in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(one, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
        subprocess.run([sys.executable, "-c", os.environ["STATE"]], check=True)
        from support import signals
        signals.give_children_defaults()
        subprocess.run([sys.executable, "-c", os.environ["STATE"]], check=True)
        os.kill(os.getpid(), signal.SIGHUP)  # this process goes on not to mind
    """
    done = child.run(started_by, env={"STATE": STATE})
    assert (done.returncode, done.stderr) == (0, "")
    before, after = done.stdout.splitlines()
    assert before == "['SIGINT', 'SIGQUIT', 'SIGHUP'] [<Signals.SIGTERM: 15>]"
    assert after == "[] []"


def test_the_children_of_these_tests_do() -> None:
    assert child.check(STATE) == "[] []\n"


def test_a_process_that_is_left_is_found_and_killed() -> None:
    """One of a child's, that lost its parent; one that has ended is nothing left."""
    before = strays.children()
    done = subprocess.run(
        ["sh", "-c", "true & sleep 1000 >/dev/null 2>&1 & echo $!"],
        capture_output=True,
        text=True,
        check=True,
    )
    pid = int(done.stdout)
    assert strays.end_left(before, patience_s=0.2) == ["sleep 1000"]
    assert not Path(f"/proc/{pid}").exists()
    assert strays.end_left(before) == []


def test_a_long_child_does_not_outlive_a_killed_parent() -> None:
    code = """
        import subprocess
        from support import child
        with child.running(["sleep", "1000"]) as process:
            print(process.pid, flush=True)
            process.wait()
    """
    path = os.pathsep.join([str(child.TESTS), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        command = Path(f"/proc/{pid}/cmdline")
        while command.read_bytes() != b"sleep\x001000\x00":
            time.sleep(0.001)
        parent.kill()
    # It is this process's child now: orphans are adopted.
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_what_multiprocessing_keeps_is_no_stray() -> None:
    code = """
        from multiprocessing import shared_memory
        from support import strays
        strays.adopt_orphans()
        before = strays.children()
        memory = shared_memory.SharedMemory(create=True, size=4096)
        memory.close()
        memory.unlink()
        assert strays.children() - before, "no resource tracker was started"
        assert strays.end_left(before) == []
    """
    child.check(code)


def test_a_process_that_ends_by_itself_is_waited_for() -> None:
    before = strays.children()
    subprocess.run(["sh", "-c", "sleep 0.2 >/dev/null 2>&1 &"], check=True)
    assert strays.end_left(before) == []
    assert strays.children() == before

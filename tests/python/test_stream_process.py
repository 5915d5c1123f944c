"""Streams and the process: forks, the interpreter's end, Ctrl-C."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import child, files

FORK = """
import os
import numapool as nump
path = {path!r}
held = open(path, "rb").read()
pool = nump.BufferPool()
stream = nump.stream(path, 65536, 4, pool=pool)
got = b""
for number in range(8):
    block = next(stream)
    child = os.fork()
    if child == 0:
        assert bytes(block.buffer) == held[block.offset:][:65536]
        try:
            next(stream)
        except ValueError as error:
            assert "forked" in str(error)
        stream.close()
        del stream
        {keep}
        assert pool.statistics().total.in_use_bytes == {left}
        assert sum(os.path.realpath(f"/proc/self/fd/{{n}}") == path
                   for n in os.listdir("/proc/self/fd")) == 0
        again = nump.stream(path, 65536, 2, pool=pool)
        assert b"".join(bytes(one.buffer) for one in again) == held
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, number
    got += bytes(block.buffer)
    del block
for block in stream:
    got += bytes(block.buffer)
assert got == held
print("fine")
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("keep", "left"), [("del block", 0), ("pass", 5 * 65536)])
def test_forks_while_threads_read(tmp_path: Path, keep: str, left: int) -> None:
    path = tmp_path / "held"
    path.write_bytes(files.contents(2 << 20))
    out = child.check(FORK.format(path=str(path), keep=keep, left=left))
    assert out.strip() == "fine"


END = """
import threading
import numapool as nump
stream = nump.stream("/dev/zero", 1 << 20, 3)
block = next(stream)
{ending}
print("end", flush=True)
"""

WAITS = """
def consume():
    kept = []
    while True:
        kept.append(next(stream))
threading.Thread(target=consume, daemon=True).start()
"""


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "del stream",
        "stream.close()",
        "import sys; sys.modules['keep'] = (stream, block)",
        WAITS,
    ],
)
def test_the_interpreter_ends_while_threads_read(ending: str) -> None:
    assert child.check(END.format(ending=ending)).strip() == "end"


def test_ctrl_c_while_it_waits() -> None:
    out = child.check(
        """
        import os, signal, threading, time
        import numapool as nump
        stream = nump.stream("/dev/zero", 4096, 1, timeout_s=1000)
        kept = [next(stream), next(stream)]
        def interrupt():
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        try:
            next(stream)
        except KeyboardInterrupt:
            print("interrupted")
        kept.clear()
        print(next(stream).nbytes)
        """
    )
    assert out.split() == ["interrupted", "4096"]

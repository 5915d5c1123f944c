"""Locks of the Python package: a child that is forked while a thread holds one goes on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import child

import numapool
from numapool.base.locks import PATIENCE_S, Rank, cached_property

PACKAGE = Path(numapool.__file__).parent

#: Locks, and what has one inside, that forks know nothing of.
FOREIGN_LOCK = re.compile(
    r"\b(Lock|RLock|Condition|Event|Semaphore|BoundedSemaphore|Barrier|Queue|allocate_lock)\("
    r"|functools import .*\bcached_property|@functools\.cached_property"
)
#: Where one is no danger, and why.
HARMLESS = {
    "base/locks.py": "makes those that forks know",
    "metrics/published_pools.py": "a child does not touch the Event of its parent's thread",
}

# What each lock guards, as a user reaches it.
USES = {
    "METRICS": (
        "from numapool import MetricsCollector; collector = MetricsCollector(); "
        "lock = collector._figures.lock",
        "list(collector.collect())",
    ),
    "BALLOON": ("balloon = nump.BalloonDriver(); lock = balloon._lock", "balloon.close()"),
    "MONITOR": (
        "pool = nump.BufferPool(); monitor = nump.PressureMonitor(); lock = monitor._lock",
        "monitor.attach(pool)",
    ),
    "RESIDENCY": (
        "balloon = nump.BalloonDriver(); lock = balloon._account._lock",
        "balloon.state()",
    ),
    "WARNED": (
        "from numapool.base import warn_once; lock = warn_once._warned_lock",
        "warn_once.warn_once('x', 'y')",
    ),
    "POOL": (
        "from numapool.pools import default_pool; lock = default_pool._lock",
        "nump.default_pool()",
    ),
}

HELD = """
import os, signal, sys, threading, time, warnings
import numapool as nump
from numapool.base.locks import Rank
warnings.simplefilter("ignore")
{make}
held, go = threading.Event(), threading.Event()

def hold():
    with lock:
        held.set()
        go.wait({hold_s})

def use():
    {use}

threads = [threading.Thread(target=hold)] if {elsewhere} else []
for thread in threads:
    thread.start()
    held.wait()
if {here}:
    lock.acquire()
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    if {here}:
        lock.release()
    use()
    other = threading.Thread(target=use)  # free for every thread of the child
    other.start()
    other.join()
    os._exit(7)
go.set()
if {here}:
    lock.release()
for thread in threads:
    thread.join()
use()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def _forked(rank: str, *, elsewhere: bool = False, here: bool = False, hold_s: float = 0.1) -> int:
    make, use = USES[rank]
    code = HELD.format(make=make, use=use, elsewhere=elsewhere, here=here, hold_s=hold_s)
    return int(child.check(code))


@pytest.mark.parametrize("rank", USES)
def test_a_fork_while_another_thread_holds_it(rank: str) -> None:
    if rank == "METRICS":
        pytest.importorskip("prometheus_client")
    assert _forked(rank, elsewhere=True) == 7


def test_every_lock_is_tried() -> None:
    assert list(USES) == [rank.name for rank in Rank]


def test_the_thread_that_forks_holds_it() -> None:
    assert _forked("WARNED", here=True) == 7


def test_a_thread_that_never_lets_go_stops_no_fork() -> None:
    assert _forked("WARNED", elsewhere=True, hold_s=PATIENCE_S + 20) == 7


def test_a_publication_is_closed_in_a_child(tmp_path: Path) -> None:
    """Its thread may hold the lock of its event as the process forks."""
    out = child.check(
        f"""
        import os, signal, warnings
        import numapool as nump
        warnings.simplefilter("ignore")
        os.environ["XDG_RUNTIME_DIR"] = {str(tmp_path)!r}
        published = nump.publish_pools(60)
        with published._ends._cond:
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
        if pid == 0:
            published._ends._cond.acquire()  # as the parent's thread would hold it for ever
            published.close()
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        published.close()
        """
    )
    assert out.strip() == "7"


def test_forks_know_every_lock() -> None:
    unknown = [
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if str(path.relative_to(PACKAGE)) not in HARMLESS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if FOREIGN_LOCK.search(line.split("#")[0])
    ]
    assert unknown == [], "use new_lock and cached_property of numapool.base.locks"


def test_every_rank_has_its_lock() -> None:
    page = Path(__file__).parents[2] / "docs" / "architecture.md"
    if not page.exists():
        pytest.skip("the documentation is not beside the package")
    listed = re.findall(r"^\| `([A-Z]+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [rank.name for rank in Rank], "docs/architecture.md lists them in their order"


def test_a_value_that_is_kept() -> None:
    class Owner:
        """Counts how often the value is computed."""

        count = 0

        @cached_property
        def value(self) -> int:
            """Computed once."""
            self.count += 1
            return self.count

    owner = Owner()
    assert (owner.value, owner.value, owner.count) == (1, 1, 1)
    assert Owner.value.__doc__ == "Computed once."

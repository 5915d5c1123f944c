"""What the package remembers of its objects, while other threads make and drop some."""

from __future__ import annotations

import gc
from pathlib import Path

from support import child

import numapool as nump
from numapool.base.live_objects import Living


class Thing:
    pass


def test_what_is_alive_is_there_in_order() -> None:
    living: Living[Thing] = Living()
    things = [Thing() for _ in range(3)]
    for thing in things:
        living.add(thing)
    assert living.all() == things
    del thing, things[1]
    gc.collect()
    assert living.all() == things


def test_others_may_add_and_drop_meanwhile() -> None:
    child.check(
        """
        import sys, threading
        from numapool.base.live_objects import Living

        class Thing: pass
        living, kept, failures, end = Living(), [], [], threading.Event()
        sys.setswitchinterval(1e-6)

        def add():
            for _ in range(500):
                living.add(Thing())
                kept.append(Thing())
                living.add(kept[-1])
            end.set()

        def look():
            try:
                while not end.is_set():
                    living.all()
            except RuntimeError as error:  # changed during iteration
                failures.append(error)

        threads = [threading.Thread(target=work) for work in (add, look)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert not failures, failures
        assert living.all() == kept
        """
    )


def test_no_weak_set_is_left() -> None:
    """Its iteration fails where another thread adds to it."""
    for path in Path(nump.__file__).parent.rglob("*.py"):
        assert "WeakSet" not in path.read_text(encoding="utf-8").replace(
            ":class:`weakref.WeakSet`", ""
        )

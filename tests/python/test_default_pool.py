"""The pool of the process: one for whoever names none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import numapool as nump
from numapool.pools import default_pool


@pytest.fixture(autouse=True)
def own_default(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(default_pool, "_pool", None)
    yield
    if default_pool._pool is not None:
        default_pool._pool.close()


pytestmark = pytest.mark.thread_unsafe(reason="closes the pool of the process")


def test_there_is_one() -> None:
    pool = nump.default_pool()
    assert nump.default_pool() is pool
    assert (pool.name, pool.max_bytes, pool.closed) == ("default", None, False)


def test_arrays_and_streams_use_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 4096)
    pool = nump.default_pool()
    assert nump.numpy_allocator().pool is pool
    with nump.stream(path, 4096) as stream:
        assert next(stream).nbytes == 4096
        assert pool.statistics().total.in_use_bytes > 0


def test_a_closed_one_is_replaced() -> None:
    before = nump.default_pool()
    before.close()
    after = nump.default_pool()
    assert after is not before
    assert not after.closed

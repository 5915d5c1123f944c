"""A pool beside a model of it: what owners wrote stays, nothing overlaps, counts add up."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

import numapool as nump

KIB, MIB = 1 << 10, 1 << 20
SIZES = st.one_of(
    st.integers(1, 16 * KIB),
    st.integers(1, 300 * KIB),
    st.sampled_from([MIB, 3 * MIB, 5 * MIB]),
    st.integers(MIB, 4 * MIB),
)


class Owner:
    """A buffer, the bytes its owner wrote, and views that keep it out."""

    def __init__(self, buffer: nump.NodeBuffer, mark: int) -> None:
        self.buffer = buffer
        self.first, self.nbytes, self.mark = buffer.address, buffer.nbytes, mark
        self.views = [np.frombuffer(buffer, np.uint8)]
        self.views[0][:] = mark

    def check(self) -> None:
        assert (self.views[0] == self.mark).all()


class PoolModel(RuleBasedStateMachine):
    owners = Bundle("owners")

    @initialize(
        max_mib=st.sampled_from([None, 16, 80]),
        retain_mib=st.sampled_from([None, 0, 8]),
        zeroed=st.booleans(),
    )
    def open(self, max_mib: int | None, retain_mib: int | None, zeroed: bool) -> None:
        self.zeroed = zeroed
        self.max_bytes = None if max_mib is None else max_mib * MIB
        self.retain_bytes = None if retain_mib is None else retain_mib * MIB
        self.pool = nump.BufferPool(
            max_bytes=self.max_bytes, retain_bytes=self.retain_bytes, zero_on_reuse=zeroed
        )
        self.live: list[Owner] = []
        self.acquired = 0

    @rule(target=owners, size=SIZES, strict=st.booleans(), mark=st.integers(1, 255))
    def acquire(self, size: int, strict: bool, mark: int) -> Any:
        try:
            buffer = self.pool.acquire(size, strict=strict)
        except nump.PoolExhaustedError:
            assert self.max_bytes is not None
            in_use = self.pool.statistics().total.in_use_bytes
            assert in_use + 2 * MIB + size * 5 // 4 > self.max_bytes
            return None
        self.acquired += 1
        if self.zeroed:
            assert not np.frombuffer(buffer, np.uint8).any()
        owner = Owner(buffer, mark)
        del buffer
        self.live.append(owner)
        return owner

    @rule(owner=consumes(owners), by=st.sampled_from(["close", "with", "drop"]))
    def release(self, owner: Owner | None, by: str) -> None:
        if owner is None:
            return
        owner.check()
        self.live.remove(owner)
        owner.views.clear()
        if by == "close":
            owner.buffer.close()
        elif by == "with":
            with owner.buffer:
                pass
        del owner.buffer

    @rule(at_least=st.one_of(st.none(), st.integers(0, 10 * MIB)))
    def trim(self, at_least: int | None) -> None:
        before = self.pool.statistics().total
        freed = self.pool.trim(at_least)
        after = self.pool.statistics().total
        assert after.trimmed_bytes == before.trimmed_bytes + freed
        assert freed >= min(before.retained_bytes, before.retained_bytes if at_least is None else 0)
        if at_least is None:
            assert after.retained_bytes == 0

    @rule(size=SIZES, count=st.integers(0, 3))
    def reserve(self, size: int, count: int) -> None:
        try:
            assert self.pool.reserve(size, count) >= count
        except nump.PoolExhaustedError:
            assert self.max_bytes is not None

    @invariant()
    def what_owners_wrote_stays(self) -> None:
        for owner in getattr(self, "live", []):
            owner.check()

    @invariant()
    def nothing_overlaps(self) -> None:
        end = 0
        for owner in sorted(getattr(self, "live", []), key=lambda one: one.first):
            assert owner.first >= end
            end = owner.first + owner.nbytes

    @invariant()
    def counts_add_up(self) -> None:
        if not hasattr(self, "pool"):
            return
        total = self.pool.statistics().total
        assert total.hits + total.misses == self.acquired
        assert total.larger_hits <= total.hits
        asked = sum(owner.nbytes for owner in self.live)
        pages = sum(-(-owner.nbytes // (4 * KIB)) * 4 * KIB for owner in self.live)
        assert asked <= total.in_use_bytes <= pages * 5 // 4
        assert 0 <= total.in_use_bytes + total.retained_bytes <= total.high_water_bytes
        if self.max_bytes is not None:
            assert total.high_water_bytes <= self.max_bytes

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        self.pool.close()
        for owner in self.live:
            owner.check()


PoolModel.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, print_blob=True
)
TestPoolModel = PoolModel.TestCase

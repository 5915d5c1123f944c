"""What each size of pages costs at first use, and gains afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numapool import _core
from numapool.base.errors import NumapoolError
from numapool.base.units import size_text
from numapool.bench.latency import SEED, wait_ns, waiting_cpu
from numapool.bench.report import Figure, PageSize
from numapool.bench.rounds import Pace, repeat
from numapool.bench.site import Site

_FIGURES = 3  # latency, touching, populating


@dataclass(frozen=True, slots=True)
class _Pages:
    kind: str
    page_bytes: int
    size_bytes: int
    reason: str | None = None


def _kinds(site: Site, node: int) -> list[_Pages]:
    """Return the sizes of pages that this machine has, or could have."""
    size = site.part_bytes(node)
    base = _core.base_page_bytes()
    found = [_Pages("base", base, size // base * base)]
    if huge := _core.transparent_page_bytes():
        found.append(_Pages("transparent", huge, max(size // huge, 1) * huge))
    for pool in _core.hugetlb_pools():
        page, total = pool.page_bytes, pool.total_pages
        reason = None
        if not pool.free_pages:
            reason = f"none of {total} pages is free" if total else "none are reserved"
        pages = min(max(size // page, 1), pool.free_pages)
        found.append(_Pages("hugetlb", page, pages * page, reason))
    return found


def figures(site: Site) -> int:
    """How many there are to measure."""
    node = site.near(site.sources[0])
    if node is None:
        return 0
    return _FIGURES * sum(1 for one in _kinds(site, node) if one.reason is None)


def measure(site: Site) -> tuple[PageSize, ...]:
    """Measure all sizes on the first node that has CPUs, or the memory nearest to it."""
    source = site.sources[0]
    node = site.near(source)
    if node is None:
        return ()
    return tuple(_measure(site, source, node, pages) for pages in _kinds(site, node))


def _measure(site: Site, source: int, node: int, pages: _Pages) -> PageSize:
    what = f"{size_text(pages.page_bytes)} pages"
    reason = pages.reason
    latency: Figure | None = None
    uses: list[Figure | None] = [None, None]
    verified = False
    if reason is None:
        try:
            latency, verified = _latency(site, source, node, pages, what)
            for way, populate in enumerate((False, True)):
                uses[way], right = _first_use(site, source, node, pages, populate, what)
                verified = verified and right
        except (NumapoolError, MemoryError, OSError) as error:
            reason = str(error) or type(error).__name__
    return PageSize(
        node_id=node,
        kind=pages.kind,
        page_bytes=pages.page_bytes,
        latency_ns=latency,
        touch_bytes_s=uses[0],
        populate_bytes_s=uses[1],
        verified=verified,
        reason=reason,
    )


def _latency(
    site: Site, source: int, node: int, pages: _Pages, what: str
) -> tuple[Figure | None, bool]:
    pace = site.clock.take(f"{what}, latency")
    if pace is None:
        site.left_out.append(f"{what}, latency")
        return None, True
    named = pages.kind if pages.kind in ("base", "transparent") else pages.page_bytes
    stayed = True
    with site.allocator.allocate(pages.size_bytes, node, page_size=named) as buffer:  # type: ignore[arg-type]
        circle = _core.BenchCircle(buffer, SEED)

        def sample(rounds: int) -> Sequence[float]:
            nonlocal stayed
            found = circle.chase(waiting_cpu(site, source), pace.round_ns, rounds)
            stayed = stayed and found.stayed
            return wait_ns(found.rounds)

        figure = repeat(sample, pace)
        placement = buffer.placement()
    there = placement.bytes_by_node.get(node, 0) >= pages.size_bytes
    return figure, stayed and there and placement.page_size_bytes == pages.page_bytes


def _first_use(
    site: Site, source: int, node: int, pages: _Pages, populate: bool, what: str
) -> tuple[Figure | None, bool]:
    name = f"{what}, {'populating' if populate else 'page faults'}"
    pace = site.clock.take(name)
    if pace is None:
        site.left_out.append(name)
        return None, True
    # The node's own CPUs populate, as in the allocator; one of the source's touches.
    cpus = site.cpus.get(node) or site.cpus[source]
    used = cpus if populate else waiting_cpu(site, source)
    right = True

    def once() -> float:
        nonlocal right
        found = _core.bench_first_use(
            populate,
            pages.size_bytes,
            _core.PageKind[pages.kind.upper()],
            pages.page_bytes,
            node,
            used,
        )
        whole = found.bytes_on_node >= pages.size_bytes
        right = right and found.page_bytes == pages.page_bytes and whole
        return pages.size_bytes * 1e9 / max(found.ns, 1)

    once()  # memory that the hypervisor took away comes back: it is no part of the question
    right = True
    return repeat(lambda rounds: [once() for _ in range(rounds)], _calls(pace)), right


def _calls(pace: Pace) -> Pace:
    """Return a pace for what takes as long as it takes."""
    return Pace(round_ns=max(pace.round_ns, 20_000_000), most_s=pace.most_s)

"""How latency grows with the number of pages that loads touch: the reach of the TLB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from numapool import _core
from numapool.base.errors import NumapoolError
from numapool.base.units import size_text
from numapool.bench.latency import SEED, wait_ns, waiting_cpu
from numapool.bench.report import ReachPoint
from numapool.bench.rounds import repeat
from numapool.bench.site import Site

_MIB = 1 << 20
_MOST_BYTES = {False: 256 * _MIB, True: 64 * _MIB}
_FEWEST = 16
_TIMES = {False: 4, True: 16}


def _kinds() -> dict[str, int]:
    huge = _core.transparent_page_bytes()
    return {"base": _core.base_page_bytes()} | ({"transparent": huge} if huge else {})


def _counts(site: Site) -> Iterator[int]:
    """Yield the numbers of lines: 16, 64, 256, ..., quickly 16, 256, ..."""
    most = min(site.options.size_bytes or _MOST_BYTES[site.options.quick], _MOST_BYTES[False])
    count = _FEWEST
    while count * _core.base_page_bytes() <= most:
        yield count
        count *= _TIMES[site.options.quick]


def figures(site: Site) -> int:
    """How many there are to measure."""
    return len(_kinds()) * len(tuple(_counts(site)))


def measure(site: Site) -> tuple[ReachPoint, ...]:
    """Touch one line in each base page's worth of memory, in base pages and in huge ones.

    In both the same lines are in the caches, so the difference is what finding the pages costs.
    """
    source = site.sources[0]
    node = site.near(source)
    if node is None:
        return ()
    found: list[ReachPoint] = []
    for kind, page_bytes in _kinds().items():
        try:
            found += _of_kind(site, source, node, kind, page_bytes)
        except (NumapoolError, MemoryError, OSError) as error:
            site.warn("pages", f"no latency by the number of {kind} pages: {error}")
    return tuple(found)


def _of_kind(
    site: Site, source: int, node: int, kind: str, page_bytes: int
) -> Iterator[ReachPoint]:
    step = _core.base_page_bytes()
    most = max(_counts(site), default=0) * step
    if not most:
        return
    size = -(-most // page_bytes) * page_bytes
    with site.allocator.allocate(size, node, page_size=kind) as buffer:  # type: ignore[arg-type]
        for lines in _counts(site):
            name = f"{lines} lines, {size_text(page_bytes)} pages"
            pace = site.clock.take(name)
            if pace is None:
                site.left_out.append(name)
                continue
            circle = _core.BenchCircle(memoryview(buffer)[: lines * step], SEED, step)
            stayed = True

            def sample(
                rounds: int, circle: _core.BenchCircle = circle, round_ns: int = pace.round_ns
            ) -> Sequence[float]:
                nonlocal stayed
                chased = circle.chase(waiting_cpu(site, source), round_ns, rounds)
                stayed = stayed and chased.stayed
                return wait_ns(chased.rounds)

            figure = repeat(sample, pace)
            del circle, sample  # they hold a view of the buffer
            placement = buffer.placement()
            there = placement.bytes_by_node.get(node, 0) >= size
            yield ReachPoint(
                node_id=node,
                kind=kind,
                page_bytes=page_bytes,
                step_bytes=step,
                lines=lines,
                latency_ns=figure,
                verified=stayed and there and placement.page_size_bytes == page_bytes,
            )

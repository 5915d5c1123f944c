"""Random calls of what places, keeps and moves memory: taken, or refused as documented."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numapool as nump

from .draws import MOST_BYTES, NO_MACHINE, Draw

#: What an argument of the wrong kind or size may raise; nothing else may come out.
REFUSALS = (TypeError, ValueError, OverflowError, MemoryError, OSError, BufferError)

#: "NAME must be WHAT IT TAKES, not WHAT IT GOT", sometimes with a reason.
FORM = re.compile(
    r"(each (of|node of|weight of) |the weight of .* in )?[a-z_]+ must .+ not .+", re.DOTALL
)

_POLICY = tuple(nump.PressurePolicy.__dataclass_fields__)
_SOURCES = ("auto", "psi", "cgroup", "nodes", "meminfo", "balloon", "none")


class Tools:
    """What the calls are made on, for as many of them as there are."""

    def __init__(self, folder: Path) -> None:
        self.allocator = nump.NumaAllocator()
        self.pool = nump.BufferPool(max_bytes=128 << 20, zero_on_reuse=True)
        self.folder = folder
        self.file = folder / "file"
        self.file.write_bytes(bytes(range(256)) * 64)


#: What a refusal says that is about no single argument.
_OTHERWISE = re.compile(
    r"closed|needs populate|is not attached|must begin at|sealed|the descriptor is of|names node"
)


def says_what_is_wrong(error: Exception) -> bool:
    """Whether an error says which parameter it is about, what that takes, and what it got."""
    words = str(error)
    if isinstance(error, TypeError | OverflowError) or type(error) is ValueError:
        return FORM.match(words) is not None or (
            type(error) is ValueError and _OTHERWISE.search(words) is not None
        )
    return bool(words) or isinstance(error, MemoryError)


def refused_or(call: Callable[[], Any]) -> Any:
    """Return what the call returns, or None where an argument is refused in words."""
    try:
        return call()
    except REFUSALS as error:
        assert says_what_is_wrong(error), repr(error)
        return None


def survives(call: Callable[[], Any]) -> None:
    """Call it, and close what it makes."""
    made = refused_or(call)
    close = getattr(made, "close", None)
    if close is not None:
        close()


def allocate(draw: Draw, tools: Tools) -> None:
    size, node = draw.size(), draw.node()
    options = {
        "page_size": draw.page_size(),
        "strict": draw.flag(),
        "populate": draw.flag(),
        "core_dump": draw.flag(),
    }
    survives(lambda: tools.allocator.allocate(size, node, **options))


def interleave(draw: Draw, tools: Tools) -> None:
    size, nodes = draw.size(), [draw.node() for _ in range(draw.integer(0, 2))]
    weights = draw.pick(None, "system", [1], {0: draw.number()}, [draw.number()], draw.other())
    options = {"page_size": draw.page_size(), "strict": draw.flag(), "populate": draw.flag()}
    survives(lambda: tools.allocator.allocate_interleaved(size, nodes or None, weights, **options))


def pools(draw: Draw, tools: Tools) -> None:
    pool, size, node, count = tools.pool, draw.size(), draw.node(), draw.anything()
    survives(lambda: pool.acquire(size, node, strict=draw.flag()))
    survives(lambda: pool.trim(size, node))
    # A ring, or a reserve, holds what it says: little, or what no machine has.
    known = isinstance(size, int) and isinstance(count, int) and size > 0 and count > 0
    if not known or not MOST_BYTES < size * count < NO_MACHINE:
        survives(lambda: pool.ring(size, count, node))
        if not known or size * count <= MOST_BYTES:
            survives(lambda: pool.reserve(size, count, node))
    assert pool.statistics().total.in_use_bytes == 0


def make_pools(draw: Draw, tools: Tools) -> None:
    options = {
        "max_bytes": draw.anything(),
        "retain_bytes": draw.anything(),
        "idle_s": draw.other(),
        "page_size": draw.page_size(),
        "name": draw.other(),
    }
    survives(lambda: nump.BufferPool(tools.allocator, **options))


def migrate(draw: Draw, tools: Tools) -> None:
    node, data, at = draw.node(), draw.data(64), draw.integer(0, 19_000)
    with tools.allocator.allocate(20_000) as buffer, memoryview(buffer) as view:
        view[at : at + len(data)] = data
        refused_or(lambda: buffer.migrate(node))
        refused_or(lambda: nump.migrate(view[at:], node))
        assert bytes(view[at : at + len(data)]) == data
        assert not any(view[:at])


def places(draw: Draw, tools: Tools) -> None:
    thing = draw.pick(draw.data(64), bytearray(draw.data(64)), draw.anything(), tools.pool)
    placed = refused_or(lambda: nump.placement_of(thing))
    # Immutable objects are not moved for show: their pages are moved, their bytes stay.
    refused_or(lambda: nump.migrate(thing, draw.node()))
    assert placed is None or sum(placed.bytes_by_node.values()) >= 0


def exports(draw: Draw, tools: Tools) -> None:
    asked = {
        "stream": draw.pick(None, draw.anything()),
        "max_version": draw.pick(None, (1, 0), (draw.number(), draw.number()), draw.other()),
        "dl_device": draw.pick(None, (1, 0), (draw.number(), draw.number()), draw.other()),
        "copy": draw.pick(None, True, False, draw.other()),
    }
    buffer = tools.pool.acquire(5000)
    refused_or(lambda: buffer.__dlpack__(**asked))
    with buffer.pin():
        pass
    buffer.close()


def policies(draw: Draw, tools: Tools) -> None:
    some = {draw.pick(*_POLICY): draw.anything() for _ in range(draw.integer(0, 3))}
    policy = refused_or(lambda: nump.PressurePolicy(**some))
    sources = draw.pick("auto", [draw.pick(*_SOURCES)], draw.other())
    monitor = refused_or(lambda: nump.PressureMonitor(policy, sources))
    if monitor is None:
        return
    floor, weight = draw.anything(), draw.pick(1.0, draw.real(), draw.anything())
    refused_or(lambda: monitor.attach(tools.pool, floor, weight))
    refused_or(lambda: monitor.detach(tools.pool))
    if draw.integer(0, 63) == 0:
        survives(monitor.start)
    monitor.close()


def threads(draw: Draw, tools: Tools) -> None:
    node, nodes = draw.node(), draw.pick(draw.node(), [draw.node(), draw.node()])
    mode = draw.pick("preferred", "interleave", "local", draw.other())
    for enter in (
        functools.partial(nump.memory_policy, nodes, mode),
        functools.partial(nump.run_on, node),
        functools.partial(nump.numpy_allocator, node, tools.pool),
    ):
        refused_or(functools.partial(_enter, enter))


def _enter(make: Callable[[], Any]) -> None:
    with make():
        pass


def nodes(draw: Draw, tools: Tools) -> None:
    node, topology = draw.pick(draw.node(), draw.anything()), tools.allocator.topology
    refused_or(lambda: topology.node(node))
    refused_or(lambda: topology.nearest(node))
    refused_or(lambda: topology.node_of_cpu(node))
    workers = draw.pick(1, None, draw.anything())
    executor = refused_or(lambda: nump.NodeExecutor(node, workers))
    if executor is not None:
        executor.shutdown()


_WORDS = (
    *("all", "cpu", "memory-only", "local", "fastest", "none", "!", "+", ",", "-", ":", "0", "1-3"),
    *("0,0", "+0", "!0", "tier:", "socket:", "near:", "pci:", "gpu:", "cuda:", "near:/", "near:/,"),
    *("GPU-0", "0000:00:00.0", "9999999999999999999999", "-1", "\0", "\u0663"),
)


def words(draw: Draw, tools: Tools) -> None:
    """Nodes by words: the parser of node_set.py."""
    parts = [draw.pick(*_WORDS) if draw.flag() else draw.text(8) for _ in range(draw.integer(0, 6))]
    text = draw.pick("", ",", " ").join(parts)
    found = refused_or(lambda: nump.nodes(text, strict=draw.flag()))
    if found is not None:
        assert refused_or(lambda: nump.nodes(str(found))) == found
    refused_or(lambda: nump.nodes([text, draw.number()]))


def devices(draw: Draw, tools: Tools) -> None:
    path = draw.pick(draw.text(40), draw.other(), tools.folder / draw.text(8))
    refused_or(lambda: tools.allocator.device_node(path))
    refused_or(lambda: nump.device_locality(path))


#: By name, so that a fuzzer can be told one.
TARGETS: dict[str, Callable[[Draw, Tools], None]] = {
    call.__name__: call
    for call in (
        allocate,
        interleave,
        pools,
        make_pools,
        migrate,
        places,
        exports,
        policies,
        threads,
        nodes,
        words,
        devices,
    )
}

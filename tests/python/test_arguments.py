"""Every public parameter refuses what it cannot take: which one, what it takes, what it got."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.surface import FORM

import numapool as nump
from numapool.base import arguments

#: By kind of parameter, what it takes least of all; an object is never taken.
WRONG: dict[str, tuple[Any, ...]] = {
    "bytes": ("64", "64K", "1 parsec", "-1MiB", "", 1.5, b"1", [1], 1j),
    "integer": ("1", 1.5, [1]),
    "node": ("zero", "tier:4711", 0.0, [0]),
    "nodes": ("zero", 0.5, [0.5], ["zero"]),
    "id": ("0", 0.0, [0]),
    "real": ("1", b"1", [1.0], 1j),
    "flag": ("no", 5, 0.0, [], None),
    "text": (b"name", 5, ["name"]),
    "path": (5, b"path", ["path"]),
    "root": (5, ["path"]),
    "word": (5, b"auto", "no such word"),
    "texts": (5, "text", [5]),
    "words": (5, "no such word", ["no such word"], [5]),
    "pages": (1.5, b"auto", "no such word", [1], 0),
    "weights": (5, "no such word", [1], {0: "1"}, {"0": 1}, {0: 256}),
    "object of ours": (1 << 30, "it", [1]),
    "objects of ours": (5, "it", [5]),
    "function": (5, "print"),
    "buffer": (5, "text", [1]),
    "buffers": (5, "text", [5]),
    "shape": ("3", 1.5, [1, "2"], {3: 3}, -1),
    "dtype": (5, "no such type", "O"),
    "pair": (5, "1.0", (1,), (1, "0"), (2**70, 0)),
}

Case = tuple[str, Callable[..., object], dict[str, str]]
PLACE = {
    "strict": "flag",
    "page_size": "pages",
    "populate": "flag",
    "mlock": "flag",
    "core_dump": "flag",
}
ARRAY = {"node": "nodes", "strict": "flag", "page_size": "pages", "order": "word"}
STREAM = {
    "block_bytes": "bytes",
    "depth": "integer",
    "node": "nodes",
    "pool": "object of ours",
    "offset": "bytes",
    "size_bytes": "bytes",
    "direct": "flag",
    "timeout_s": "real",
}


def cases(file: Path) -> Iterator[Case]:
    """Tell of each public function what makes a good call, and which kinds its parameters are."""
    part = functools.partial
    allocator, pool = nump.NumaAllocator(), nump.BufferPool()
    topology, buffer, monitor = allocator.topology, allocator.allocate(4096), nump.PressureMonitor()
    ring, balloon = pool.ring(4096, 2), nump.BalloonDriver()
    ours = "object of ours"
    yield "NumaAllocator", nump.NumaAllocator, {"topology": ours}
    sized = {"size_bytes": "bytes", **PLACE}
    yield "allocate", part(allocator.allocate, 4096), {"node": "nodes", **sized}
    spread = {"nodes": "nodes", "weights": "weights", **sized}
    yield "allocate_interleaved", part(allocator.allocate_interleaved, 4096), spread
    near = part(allocator.allocate_near, path=file, size_bytes=4096)
    yield "allocate_near", near, {"path": "path", **sized}
    yield "allocator.device_node", allocator.device_node, {"path": "path"}
    yield "allocator.device_locality", allocator.device_locality, {"path": "path"}
    made = {"allocator": ours, "max_bytes": "bytes", "retain_bytes": "bytes", "idle_s": "real"}
    made |= {"zero_on_reuse": "flag", "page_size": "pages", "core_dump": "flag", "name": "text"}
    yield "BufferPool", nump.BufferPool, made
    lent = {"size_bytes": "bytes", "node": "nodes", "strict": "flag", "block": "flag"}
    yield (
        "pool.acquire",
        part(pool.acquire, size_bytes=4096, block=True),
        lent | {"timeout_s": "real"},
    )
    kept = {"size_bytes": "bytes", "count": "integer", "node": "nodes", "progress": "function"}
    kept |= {"background": "flag"}
    yield "pool.reserve", part(pool.reserve, size_bytes=4096, count=0), kept
    yield "pool.trim", pool.trim, {"at_least_bytes": "bytes", "node": "nodes"}
    blocks = {"block_bytes": "bytes", "count": "integer", "node": "nodes", "strict": "flag"}
    yield "pool.ring", part(pool.ring, block_bytes=4096, count=1), blocks
    yield "ring.acquire", part(ring.acquire, block=True), {"block": "flag", "timeout_s": "real"}
    yield "buffer.migrate", lambda node: buffer.migrate(node), {"node": "nodes"}
    exported = {"max_version": "pair", "dl_device": "pair", "copy": "flag"}
    yield "buffer.__dlpack__", buffer.__dlpack__, exported | {"copy": "flag or None"}
    yield "migrate", part(nump.migrate, bytearray(9), node=0), {"node": "nodes"}
    yield "migrate", part(nump.migrate, node=0), {"obj": "integer"}
    yield "placement_of", nump.placement_of, {"obj": "integer"}
    shared = {"size_bytes": "bytes", "node": "nodes", "strict": "flag"}
    yield "SharedNodeBuffer", part(nump.SharedNodeBuffer, 4096), shared
    yield "attach", nump.SharedNodeBuffer.attach, {"handle": "text"}
    arrays = {"shape": "shape", "dtype": "dtype", "allocator": ours, **ARRAY}
    for name in ("empty", "zeros"):
        yield name, part(getattr(nump, name), 3), arrays
        yield f"{name} of a pool", part(getattr(nump, name), 3), {"pool": ours}
    yield "full", part(nump.full, 3, fill_value=0), arrays
    yield "filled", part(nump.full, 3, dtype="f4"), {"fill_value": "values"}
    yield "copied", part(nump.asarray, dtype="f4"), {"data": "values"}
    yield "asarray", part(nump.asarray, [1]), {**ARRAY, "dtype": "dtype", "allocator": ours}
    yield "numpy_allocator", nump.numpy_allocator, {"node": "nodes", "pool": ours, "strict": "flag"}
    yield "set_numpy_allocator", nump.set_numpy_allocator, {"node": "nodes", "pool": ours}
    yield "memory_policy", nump.memory_policy, {"node": "nodes", "mode": "word"}
    yield "run_on", part(nump.run_on, node=0), {"node": "nodes", "topology": ours}
    yield "bind_process", part(nump.bind_process, node=0), {"node": "nodes", "topology": ours}
    threads = {
        "node": "nodes",
        "max_workers": "integer",
        "thread_name_prefix": "text",
        "pool": ours,
    }
    threads |= {"initializer": "function", "topology": ours, "numpy_arrays": "flag"}
    yield "NodeExecutor", part(nump.NodeExecutor, node=0), threads
    yield "from_sysfs", nump.NumaTopology.from_sysfs, {"root": "root"}
    exact = part(nump.NumaTopology.from_sysfs, "/")
    yield "from_sysfs", exact, {"strict": "flag"}
    yield "topology.node", topology.node, {"node": "id"}
    yield "nearest", topology.nearest, {"node": "id"}
    yield "node_of_cpu", topology.node_of_cpu, {"cpu": "integer"}
    ends = {"from_node": "id", "to_node": "id"}
    yield "distance", part(topology.distance, from_node=0, to_node=0), ends
    for find in (nump.device_node, nump.device_locality):
        yield "device", part(find, path=file), {"path": "path", "topology": ours}
    yield "detect_hypervisor", nump.detect_hypervisor, {"root": "root", "cpuid_signatures": "texts"}
    policy = dict.fromkeys(nump.PressurePolicy.__dataclass_fields__, "real")
    yield "PressurePolicy", nump.PressurePolicy, policy
    yield "PressureMonitor", nump.PressureMonitor, {"policy": ours, "sources": "words"}
    attached = {"pool": ours, "floor_bytes": "bytes", "weight": "real"}
    yield "attach", part(monitor.attach, pool=pool), attached
    yield "detach", monitor.detach, {"pool": ours}
    yield "subscribe", monitor.subscribe, {"handler": "function"}
    yield "BalloonDriver", nump.BalloonDriver, {"root": "root"}
    yield "released", part(balloon.report_memory_released, 0), {"size_bytes": "bytes"}
    yield "compacted", part(balloon.report_memory_released, 0), {"compact": "flag"}
    answers = part(balloon.subscribe, print)
    yield "subscribe", answers, {"handler": "function", "monitor": ours}
    yield "publish_pools", nump.publish_pools, {"interval_s": "real"}
    scraped = {"pools": "objects of ours", "monitor": ours, "balloon": ours, "topology": ours}
    yield "MetricsCollector", nump.MetricsCollector, scraped
    moved = {"path": "path", "offset": "bytes", "size_bytes": "bytes", "direct": "flag"}
    written = {"truncate": "flag", "sync": "flag"}
    read = part(nump.read_into, path=file, buffer=bytearray(9))
    yield "read_into", read, {**moved, "buffer": "buffer"}
    write = part(nump.write_from, path=file, buffer=b"")
    yield "write_from", write, {**moved, **written, "buffer": "buffer"}
    del moved["size_bytes"]
    yield "readv", part(nump.readv, path=file, buffers=[]), {**moved, "buffers": "buffers"}
    many = part(nump.read_many, path=file, offsets=[0], buffers=[bytearray(9)])
    yield "read_many", many, {"path": "path", "depth": "integer", "direct": "flag"}
    several = {**moved, **written, "buffers": "buffers"}
    yield "writev", part(nump.writev, path=file, buffers=[]), several
    yield "stream", part(nump.stream, path=file), {"path": "path", **STREAM}


WRONG["flag or None"] = ("no", 5, 0.0, [])
WRONG["values"] = ([1, "text"], "text")

#: Where the good call begins with a positional argument: its name.
FIRST = {
    "allocate": "size_bytes",
    "allocate_interleaved": "size_bytes",
    "SharedNodeBuffer": "size_bytes",
    "empty": "shape",
    "zeros": "shape",
    "full": "shape",
    "released": "size_bytes",
    "subscribe": "handler",
}


def refusal(call: Callable[..., object], name: str, value: object) -> str:
    """Return what a call says of a wrong argument; nothing where it took it."""
    try:
        call(**{name: value})
    except (TypeError, ValueError) as error:
        return str(error)
    return "taken"


def test_every_parameter_says_what_it_takes_and_what_it_got(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"123456789")
    wrong: list[str] = []
    for what, call, parameters in cases(file):
        for name, kind in parameters.items():
            good = call
            if FIRST.get(what) == name and isinstance(call, functools.partial):
                good = functools.partial(call.func, **call.keywords)
            for value in (*WRONG[kind], object()):
                words = refusal(good, name, value)
                if not FORM.match(words) or name not in words:
                    wrong.append(f"{what}({name}={value!r}): {words}")
    assert not wrong, "\n".join(wrong)


def test_the_words() -> None:
    make: Any = nump.BufferPool
    pool: Any = nump.BufferPool()
    attach: Any = nump.PressureMonitor().attach
    said: tuple[tuple[Callable[[], Any], str], ...] = (
        (lambda: make(1 << 30), "allocator must be a NumaAllocator or None"),
        (lambda: attach(1), "pool must be a BufferPool, not 1"),
        (
            lambda: pool.acquire("1"),
            "size_bytes must be a number of bytes (an integer, or text with a unit, such as ",
        ),
        (lambda: pool.acquire(0), "size_bytes must be at least 1, not 0"),
        (lambda: pool.acquire(1, strict="no"), "strict must be True or False, not 'no'"),
        (lambda: pool.acquire(1, timeout_s=1, block=None), "block must be True or False, not None"),
    )
    for call, words in said:
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert str(caught.value).startswith(words)


def test_what_a_parameter_got() -> None:
    looped: list[Any] = []
    looped.append(looped)
    for value, words in (
        ("x" * 100, f"'{'x' * 60}'..."),
        (10**5000, "an integer of 16610 bits"),
        (float("nan"), "nan"),
        ((1, "a"), "(1, 'a')"),
        (looped, "[list]"),
        ([1] * 5, "list"),
        (object(), "object"),
    ):
        assert arguments.shown(value) == words


def test_numbers_and_flags_of_numpy_are_taken() -> None:
    np = pytest.importorskip("numpy")
    pool = nump.BufferPool(
        max_bytes=np.int64(1 << 20), core_dump=np.bool_(True), idle_s=np.float32(1)
    )
    with pool.acquire(np.uint16(100), strict=np.bool_(False)) as buffer:
        assert buffer.nbytes == 100
    assert arguments.flag("a", 1) is True
    assert arguments.real("a", 10**400) == float("inf")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096B", 4096),
        ("64MiB", 64 << 20),
        (" 64 mib ", 64 << 20),
        ("2GB", 2_000_000_000),
        ("1.5GiB", 3 << 29),
        ("0.1kB", 100),
        ("1.0000000001 B", 1),
        ("3PiB", 3 << 50),
        ("1 byte", 1),
    ],
)
def test_sizes_in_text(text: str, size: int) -> None:
    assert arguments.size("size_bytes", text) == size


@pytest.mark.parametrize(
    "text",
    ["64", "64K", "64M", "1e3B", "MiB", "1,5GiB", "0x10B", "1_0B", "\u0663B", "9" * 30 + "B"],
)
def test_texts_that_are_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"size_bytes must be a number of bytes .*64MiB.* not "):
        arguments.size("size_bytes", text)


def test_every_size_may_be_text(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(8192))
    with nump.BufferPool(max_bytes="1GiB", retain_bytes="64MB") as pool:
        assert (pool.max_bytes, pool.retain_bytes) == (1 << 30, 64_000_000)
        with pool.acquire("4KiB") as buffer, pool.ring("4KiB", 2) as ring:
            assert (buffer.nbytes, ring.block_bytes) == (4096, 4096)
            assert nump.read_into(file, buffer, "4KiB", "1kB").nbytes == 1000
        nump.PressureMonitor().attach(pool, floor_bytes="1MiB")
        assert pool.reserve("4KiB", 2) >= 0
        assert pool.trim(at_least_bytes="1B") > 0
    with nump.NumaAllocator().allocate("4KiB") as buffer:
        assert buffer.nbytes == 4096
    with nump.stream(file, "4KiB", 1, offset="4KiB", size_bytes="2KiB") as blocks:
        assert sum(len(one.buffer) for one in blocks) == 2048
    report = nump.BalloonDriver().report_memory_released("1MiB")
    assert report.released_bytes == 1 << 20

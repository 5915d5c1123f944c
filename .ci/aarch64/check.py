"""What runs in the guest before the tests: one check for each thing that a kernel must show.

check.py NODES: prints a line for each, with its seconds; status 1 if one failed.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numapool as nump

MIB = 1 << 20
NODES = int(sys.argv[1])
#: What the checks found out, for the line of each.
Said = str
CHECKS: list[Callable[[], Said]] = []


def check(function: Callable[[], Said]) -> Callable[[], Said]:
    """Add a check to those that run."""
    CHECKS.append(function)
    return function


def by_numa_maps(address: int) -> dict[int, int]:
    """Return the pages by node of the mapping that holds an address, as the kernel counts them."""
    last = ""
    for line in Path("/proc/self/numa_maps").read_text().splitlines():
        if int(line.split()[0], 16) > address:
            break
        last = line
    size = int(re.findall(r"kernelpagesize_kB=(\d+)", last)[0]) << 10
    return {int(node): int(pages) * size for node, pages in re.findall(r" N(\d+)=(\d+)", last)}


def free_bytes(node: int) -> int:
    """Return a node's free memory."""
    text = Path(f"/sys/devices/system/node/node{node}/meminfo").read_text()
    return int(re.findall(r"MemFree:\s+(\d+) kB", text)[0]) << 10


def run(*arguments: str) -> str:
    """Return what a command of numapool prints; an error if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "numapool", *arguments], capture_output=True, text=True, timeout=300
    )
    if done.returncode != 0:
        raise RuntimeError(f"{arguments}: status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


@check
def topology() -> Said:
    """Nodes, processors and distances are those that QEMU was told."""
    seen = nump.NumaTopology.detect()
    assert [node.node_id for node in seen.nodes] == list(range(NODES)), seen
    assert all(node.cpu_cores == (node.node_id,) for node in seen.nodes), seen
    assert all(node.total_memory_bytes for node in seen.nodes)
    return f"{NODES} nodes, base pages of {mmap.PAGESIZE} bytes"


@check
def chain_on_each_node() -> Said:
    """Find each buffer on the node it was asked for, by the kernel's own list."""
    for node in range(NODES):
        with nump.NumaAllocator().allocate(32 * MIB, node) as buffer:
            assert buffer.step is nump.AllocationStep.PREFERRED, buffer
            assert buffer.placement().bytes_by_node == {node: 32 * MIB}
            assert by_numa_maps(buffer.address) == {node: 32 * MIB}
    return "32 MiB on each"


@check
def chain_goes_on() -> Said:
    """More than a node has free goes to the others, and nothing is killed."""
    wanted = free_bytes(0) // MIB * MIB + 64 * MIB
    with nump.NumaAllocator().allocate(wanted, 0) as buffer:
        assert buffer.step is not nump.AllocationStep.PREFERRED, buffer
        held = buffer.placement().bytes_by_node
        assert sum(held.values()) == wanted, held
        return f"{wanted // MIB} MiB asked of node 0: {buffer.step.name}, {held}"


@check
def strict_is_refused() -> Said:
    """Get an error for the same with strict=True."""
    wanted = free_bytes(1) // MIB * MIB + 64 * MIB
    try:
        nump.NumaAllocator().allocate(wanted, 1, strict=True)
    except (nump.PlacementError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("a node held more than it had free")


@check
def hugetlb_by_name() -> Said:
    """Each hugetlb size that is small enough to reserve is used, and told."""
    told = []
    for folder in sorted(Path("/sys/kernel/mm/hugepages").iterdir()):
        size = int(folder.name.removeprefix("hugepages-").removesuffix("kB")) << 10
        if size > 64 * MIB:
            continue
        (folder / "nr_hugepages").write_text(str(4 * NODES))
        name: Any = f"{size >> 10}KiB" if size < MIB else f"{size >> 20}MiB"
        with nump.NumaAllocator().allocate(size, 1, page_size=name) as buffer:
            memoryview(buffer)[:1] = b"x"
            for placement in (buffer.placement(), nump.placement_of(memoryview(buffer))):
                assert placement.page_size_bytes == size, placement
                assert placement.bytes_by_node == {1: size}, placement
        (folder / "nr_hugepages").write_text("0")
        told.append(name)
    return ", ".join(told)


@check
def transparent_sizes() -> Said:
    """Switch a size below a whole entry's on; it is used, and counted by the kernel."""
    folder = Path("/sys/kernel/mm/transparent_hugepage")
    whole = int((folder / "hpage_pmd_size").read_text())
    code = "from numapool import _core as c; print(c.transparent_page_bytes())"
    ask = [sys.executable, "-c", code]
    plain = int(subprocess.run(ask, capture_output=True, text=True, check=True).stdout)
    # Four base pages are the smallest such size: with base pages of 64 KiB the best one is taken.
    size = 64 << 10 if mmap.PAGESIZE < 64 << 10 else 2 * MIB
    small = folder / f"hugepages-{size >> 10}kB"
    if not small.is_dir():
        return f"{plain} bytes; no smaller sizes in this kernel"
    (small / "enabled").write_text("madvise")
    code += f"; import numapool as n; b = n.NumaAllocator().allocate({16 * size}, 1)"
    code += "; print(b.step.name)"
    made = small / "stats" / "anon_fault_alloc"
    before = int(made.read_text())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = int(made.read_text())
    (small / "enabled").write_text("never")
    assert after - before >= 16, (before, after)
    best = int(done.stdout.split()[0])
    assert best == (whole if plain and whole <= 2 * MIB else size), done.stdout
    told = f"{size >> 10} KiB on: {best}, and {after - before} such pages for {16 * size >> 20} MiB"
    return f"{plain} bytes; with {told}"


@check
def pools() -> Said:
    """Threads borrow on every node; what they get is there, and goes back."""
    pool = nump.BufferPool()
    wrong: list[object] = []

    def work(node: int) -> None:
        for round_ in range(200):
            with pool.acquire((4096, 100_000, 3 * MIB)[round_ % 3], node) as block:
                memoryview(block)[:1] = b"x"
                if block.node_id != node:
                    wrong.append(block)

    threads = [threading.Thread(target=work, args=[node % NODES]) for node in range(2 * NODES)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not wrong, wrong[:2]
    total = pool.statistics().total
    assert pool.trim() > 0
    return f"{total.hits} hits, {total.misses} misses"


def short_on(node: int) -> Said:
    """Make a node short while a pool retains memory on every node."""
    pool = nump.BufferPool()
    for each in range(NODES):
        pool.reserve(8 * MIB, 8, each)
    events: list[nump.PressureEvent] = []
    retained = {n: c.retained_bytes for n, c in pool.statistics().by_node.items()}
    held = []
    with nump.PressureMonitor() as monitor, monitor.subscribe(events.append):
        monitor.attach(pool)
        end = time.monotonic() + 120
        while time.monotonic() < end and not any(
            one.node_id == node and one.trimmed_bytes for one in events
        ):
            if free_bytes(node) > 8 * MIB:
                with contextlib.suppress(MemoryError):  # what is left is the kernel's
                    held.append(nump.NumaAllocator().allocate(4 * MIB, node))
            time.sleep(0.05)
        seen = monitor.reading()
    now = {n: c.retained_bytes for n, c in pool.statistics().by_node.items()}
    for buffer in held:
        buffer.close()
    about = [(one.source, one.node_id, one.trimmed_bytes >> 20) for one in events[:6]]
    assert any(one.node_id == node and one.trimmed_bytes for one in events), (about, seen)
    assert now[node] < retained[node], (retained, now, about)
    for one in events:
        assert one.node_id in (node, None), about
    return f"events (source, node, MiB trimmed): {about}"


@check
def pressure_on_first_node() -> Said:
    """See the node trimmed that the event names."""
    return short_on(0)


@check
def pressure_on_last_node() -> Said:
    """See the same of the other end."""
    return short_on(NODES - 1)


@check
def balloon() -> Said:
    """Find the balloon, and follow what the host has it take and give back."""
    driver = nump.BalloonDriver()
    began = driver.state()
    assert began.driver == "virtio" and began.reports_free_pages, began
    memory = sum(node.total_memory_bytes or 0 for node in nump.NumaTopology.detect().nodes)
    seen = []
    for taken in (128 * MIB, 0):
        # Read by the program that runs QEMU, which sizes the balloon. Firmware's share is not told.
        print(f"host: balloon {memory // MIB * MIB + 32 * MIB - taken}", flush=True)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            now = driver.state().inflated_bytes or 0
            if (now >= 32 * MIB) if taken else (now <= 64 * MIB):
                break
            time.sleep(0.1)
        else:
            raise AssertionError((taken, driver.state()))
        seen.append(now // MIB)
    kind = nump.detect_hypervisor()
    assert kind.kind == "qemu", kind
    return f"{seen} MiB in it, after it was to grow and to shrink; hypervisor: {kind.evidence[0]}"


@check
def stream() -> Said:
    """Read a file whole and in order."""
    data = bytes(range(256)) * (MIB // 32)
    path = Path("/root/data")
    path.write_bytes(data)
    digest = hashlib.sha256()
    with nump.stream(path, 256 << 10) as blocks:
        for block in blocks:
            digest.update(memoryview(block.buffer))
        direct = blocks.direct_bytes
    assert digest.digest() == hashlib.sha256(data).digest()
    return f"{len(data) // MIB} MiB, {direct // MIB} of them direct"


@check
def shared_memory() -> Said:
    """Another process sees the bytes, on the node."""
    with nump.SharedNodeBuffer(4 * MIB, 1) as memory:
        memory[:5] = b"hello"
        code = (
            "import sys, numapool as n; m = n.SharedNodeBuffer.attach(sys.argv[1]);"
            "print(m[:5], m.placement().bytes_by_node)"
        )
        asked = [sys.executable, "-c", code, memory.handle]
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"b'hello' {{1: {4 * MIB}}}", said
    return said.strip()


@check
def commands() -> Said:
    """Run the commands, and a program on a node."""
    assert "node" in run("info")
    run("doctor")
    run("ps", "1")
    code = "import numapool as n; print(n.current_topology().nodes and n._core.current_node())"
    on = run("run", "--node", "1", "--", sys.executable, "-c", code).strip()
    assert on == "1", on
    return "info, doctor, ps, run"


failed = 0
for one in CHECKS:
    began = time.monotonic()
    try:
        result = one()
        print(f"{one.__name__}: passed in {time.monotonic() - began:.1f} s: {result}", flush=True)
    except BaseException as error:
        failed += 1
        print(f"{one.__name__}: FAILED: {error!r}\n{traceback.format_exc()}", flush=True)
sys.exit(failed != 0)

"""The balloon of captured and made-up machines; handlers; reports of released memory."""

from __future__ import annotations

import gc
import json
import mmap
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import child, hosts, sysfs_tree

import numapool as nump
from numapool import PressureEvent, PressureLevel, Subscription

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="trees are Linux's files")

MIB = 1 << 20
PAGE_KIB = mmap.PAGESIZE // 1024


def driver_of(name: str, root: Path, **extra: str) -> nump.BalloonDriver:
    sysfs_tree.write(root, {**hosts.machine(name), **extra})
    return nump.BalloonDriver(root=root)


@pytest.mark.parametrize("name", hosts.names())
def test_what_is_read_of_each(name: str, tmp_path: Path) -> None:
    wanted = [line for line in hosts.expected(name) if line.startswith(("balloon", "features"))]
    assert hosts.describe_balloon(driver_of(name, tmp_path)) == wanted


@pytest.mark.parametrize("name", hosts.names())
def test_there_is_a_reason_exactly_where_there_is_no_balloon(name: str, tmp_path: Path) -> None:
    with driver_of(name, tmp_path) as balloon:
        assert (balloon.reason is None) == balloon.available
        state = balloon.state()
        assert state.driver == balloon.driver
        assert state.features == balloon.features
        assert balloon.driver is None or balloon.driver in repr(balloon)
        json.dumps(state.to_dict())
        if not balloon.available:
            assert state.inflated_bytes is None
            assert state.target_bytes is None
            assert not state.reports_free_pages


def test_reasons_say_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir(parents=True)
    bare = nump.BalloonDriver(root=tmp_path)
    assert bare.reason == (
        "there is no balloon device, and no hypervisor was found: this is bare metal"
    )
    assert bare.driver is None
    assert not bare.available
    unloaded = driver_of("kvm_no_driver", tmp_path / "unloaded")
    assert "modprobe virtio_balloon" in str(unloaded.reason)
    assert not unloaded.available
    assert unloaded.driver == "virtio"


def test_a_balloon_that_comes_later_is_seen(tmp_path: Path) -> None:
    balloon = driver_of("kvm_no_driver", tmp_path)
    assert not balloon.available
    sysfs_tree.write(tmp_path, {"sys/bus/virtio/devices/virtio2/driver/": ""})
    assert balloon.available
    assert balloon.reason is None
    assert balloon.state().inflated_bytes == 0


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        nump.BalloonDriver(root=tmp_path / "none")


# --- handlers --------------------------------------------------------------------------------


@dataclass
class StandIn:
    """Takes the place of a monitor, and plays its events."""

    handler: Callable[[PressureEvent], object] | None = None

    def subscribe(self, handler: Callable[[PressureEvent], object]) -> Subscription:
        self.handler = handler
        subscription: Any = object()
        return subscription  # type: ignore[no-any-return]

    def play(self, demand_bytes: int, trimmed_bytes: int = 0) -> None:
        assert self.handler is not None
        self.handler(
            PressureEvent(
                level=PressureLevel.MODERATE if demand_bytes else PressureLevel.NONE,
                demand_bytes=demand_bytes,
                trimmed_bytes=trimmed_bytes,
                node_id=None,
                source="balloon",
                stall_s=0.0,
                origin_monotonic_ns=1,
            )
        )


def test_handlers_get_what_is_still_asked_for_and_nothing_else(tmp_path: Path) -> None:
    asked: list[int] = []
    monitor = StandIn()
    driver_of("bare_metal", tmp_path).subscribe(asked.append, monitor=monitor)
    monitor.play(100)
    monitor.play(100, trimmed_bytes=70)
    monitor.play(100, trimmed_bytes=100)
    monitor.play(100, trimmed_bytes=300)
    monitor.play(0)
    assert asked == [100, 30]


def test_the_monitors_subscription_is_handed_on(tmp_path: Path) -> None:
    wanted: Any = object()

    class One:
        def subscribe(self, handler: Callable[[PressureEvent], object]) -> Subscription:
            return wanted  # type: ignore[no-any-return]

    balloon = driver_of("bare_metal", tmp_path)
    assert balloon.subscribe(print, monitor=One()) is wanted


def test_a_handler_must_be_callable(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="handler must be callable, not 5"):
        driver_of("bare_metal", tmp_path).subscribe(5)  # type: ignore[arg-type]


def test_an_error_of_a_handler_is_the_monitors_to_report(tmp_path: Path) -> None:
    def fail(nbytes: int) -> None:
        raise RuntimeError(f"no {nbytes}")

    monitor = StandIn()
    driver_of("bare_metal", tmp_path).subscribe(fail, monitor=monitor)
    with pytest.raises(RuntimeError, match="no 7"):
        monitor.play(7)


def test_without_a_monitor_the_driver_runs_one_until_it_is_closed() -> None:
    with nump.BalloonDriver() as balloon:
        with balloon.subscribe(print) as first:
            second = balloon.subscribe(print)
            assert first.active and second.active
        assert not first.active
        assert second.active
    assert not second.active
    balloon.close()
    with pytest.raises(ValueError, match="closed"):
        balloon.subscribe(print)


# --- reports ---------------------------------------------------------------------------------


def hold(size_bytes: int) -> mmap.mmap:
    """Take memory that is this process's alone, and touch it."""
    held = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    held.write(b"x" * size_bytes)
    return held


def test_memory_that_went_back_is_reported_as_returned() -> None:
    balloon = nump.BalloonDriver()
    held = hold(64 * MIB)
    balloon.state()
    held.close()
    report = balloon.report_memory_released(64 * MIB)
    assert report.released_bytes == 64 * MIB
    assert report.returned_bytes is not None
    assert 60 * MIB <= report.returned_bytes <= 64 * MIB
    assert "VmRSS" in report.evidence


def test_memory_that_is_still_held_is_not() -> None:
    balloon = nump.BalloonDriver()
    held = hold(64 * MIB)
    balloon.report_memory_released(0)
    report = balloon.report_memory_released(64 * MIB)
    assert report.returned_bytes is not None
    assert report.returned_bytes < 4 * MIB
    held.close()
    again = balloon.report_memory_released(64 * MIB)
    assert again.returned_bytes is not None
    assert again.returned_bytes >= 60 * MIB


def test_a_release_counts_once() -> None:
    balloon = nump.BalloonDriver()
    held = hold(64 * MIB)
    balloon.state()
    held.close()
    balloon.report_memory_released(64 * MIB)
    second = balloon.report_memory_released(64 * MIB)
    assert second.returned_bytes is not None
    assert second.returned_bytes < 4 * MIB


def test_a_peak_that_was_never_looked_at_counts() -> None:
    nothing = nump.BalloonDriver()
    peak = nothing._account._peak_bytes
    balloon = nump.BalloonDriver()
    held = hold(peak + 64 * MIB)  # more than ever before, whatever tests ran before
    held.close()
    report = balloon.report_memory_released(64 * MIB)
    assert report.returned_bytes is not None
    assert report.returned_bytes >= 60 * MIB


def test_what_a_handler_releases_is_measured_from_its_call(tmp_path: Path) -> None:
    balloon = driver_of("kvm_virtio", tmp_path)
    monitor = StandIn()
    held = [hold(64 * MIB)]
    reports: list[nump.ReleaseReport] = []

    def release(nbytes: int) -> None:
        held.pop().close()
        reports.append(balloon.report_memory_released(nbytes))

    balloon.subscribe(release, monitor=monitor)
    monitor.play(64 * MIB)
    assert reports[0].returned_bytes is not None
    assert reports[0].returned_bytes >= 60 * MIB


def test_the_heap_is_trimmed_first() -> None:
    """Blocks below glibc's mmap threshold stay in its heap when they are freed."""
    balloon = nump.BalloonDriver()
    pieces = [b"x" * 60_000 for _ in range(1000)]
    last = b"x" * 60_000  # keeps the top of the heap from being cut by free() itself
    balloon.state()
    del pieces
    gc.collect()
    report = balloon.report_memory_released(1000 * 60_000)
    if not report.evidence.count("malloc_trim"):
        pytest.skip("this C library has no malloc_trim")
    assert report.heap_trimmed_bytes > 30 * MIB
    assert report.returned_bytes is not None
    assert report.returned_bytes > 50 * MIB
    assert len(last) == 60_000


@pytest.mark.parametrize("nbytes", [-1, -(2**70)])
def test_negative_sizes_are_refused(nbytes: int) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        nump.BalloonDriver().report_memory_released(nbytes)


def test_sizes_are_whole_numbers() -> None:
    with pytest.raises(TypeError):
        nump.BalloonDriver().report_memory_released(1.5)  # type: ignore[arg-type]


BUDDYINFO = (
    "Node 0, zone   DMA   1   0   0   0   0   0   0   0   0   1 2\n"
    "Node 0, zone   Normal    100     50   0   0   0   0   0   0   3     10 20\n"
    "Node 1, zone   Normal   0   0   0   0   0   0   0   0   0   0 1\n"
)
#: In pages: 1 + 100 + 2 * 50 + 3 * 256 in small blocks; 512 * 11 + 1024 * 23 in large ones.
FRAGMENTED_KIB = (1 + 100 + 100 + 768) * PAGE_KIB
REPORTABLE_KIB = (512 * 11 + 1024 * 23) * PAGE_KIB


def test_free_blocks_are_counted_by_the_order_of_reporting(tmp_path: Path) -> None:
    balloon = driver_of("kvm_virtio", tmp_path, **{"proc/buddyinfo": BUDDYINFO})
    report = balloon.report_memory_released(100 * MIB)
    assert report.mechanism == "free-page-reporting"
    assert report.host_delay_s == 2.0
    assert report.page_order == 9
    assert report.block_bytes == 512 * mmap.PAGESIZE
    assert report.fragmented_free_bytes == FRAGMENTED_KIB * 1024
    assert report.reportable_free_bytes == REPORTABLE_KIB * 1024
    assert report.compaction_would_help is False
    assert not report.compacted
    assert "order 9" in report.host_sees
    json.dumps(report.to_dict())


@pytest.mark.parametrize(
    ("order", "size_pages", "expected"),
    [("0", 1, 0), ("1", 2, 101), ("10", 1024, 969 + 512 * 11)],
)
def test_another_order_is_honoured(
    order: str, size_pages: int, expected: int, tmp_path: Path
) -> None:
    parameter = "sys/module/page_reporting/parameters/page_reporting_order"
    files = {"proc/buddyinfo": BUDDYINFO, parameter: f"{order}\n"}
    report = driver_of("kvm_virtio", tmp_path, **files).report_memory_released(0)
    assert report.page_order == int(order)
    assert report.block_bytes == size_pages * mmap.PAGESIZE
    assert report.fragmented_free_bytes == expected * mmap.PAGESIZE


@pytest.mark.parametrize("text", ["4294967295\n", "-1\n", "", "nine\n", None])
def test_without_an_order_it_is_the_default(text: str | None, tmp_path: Path) -> None:
    parameter = "sys/module/page_reporting/parameters/page_reporting_order"
    files = {"proc/buddyinfo": BUDDYINFO}
    huge = mmap.PAGESIZE << 7
    files["sys/kernel/mm/transparent_hugepage/hpage_pmd_size"] = f"{huge}\n"
    if text is None:
        sysfs_tree.write(tmp_path, {**hosts.machine("kvm_virtio"), **files})
        (tmp_path / parameter).unlink()
        balloon = nump.BalloonDriver(root=tmp_path)
    else:
        balloon = driver_of("kvm_virtio", tmp_path, **files, **{parameter: text})
    report = balloon.report_memory_released(0)
    assert report.page_order == 7
    assert report.block_bytes == huge
    assert "order 7, the default" in report.host_sees


def test_compaction_helps_where_little_of_what_was_released_is_in_large_blocks(
    tmp_path: Path,
) -> None:
    holes = "Node 0, zone   Normal 1000000 0 0 0 0 0 0 0 0 0 0\n"
    balloon = driver_of("kvm_virtio", tmp_path, **{"proc/buddyinfo": holes})
    assert balloon.report_memory_released(100 * MIB).compaction_would_help is True
    enough = 1_000_000 * mmap.PAGESIZE * 11
    assert balloon.report_memory_released(enough).compaction_would_help is False


@pytest.mark.parametrize(
    "text",
    [
        "Node 0, zone\n",
        "Node 0, zone Normal\n",
        "Node 0, zone Normal x\n",
        "Node 0, zone Normal 1 2 3x\n",
        "Node 0, zone Normal -1\n",
        "Node 0, zone Normal 99999999999999999999999\n",
        "Node 0, zone Normal 18446744073709551615\n",
        f"Node 0, zone Normal {'1 ' * 100}\n",
        "\0\0\0",
        None,
    ],
)
def test_free_blocks_that_cannot_be_counted_are_unknown(text: str | None, tmp_path: Path) -> None:
    files = {} if text is None else {"proc/buddyinfo": text}
    report = driver_of("kvm_virtio", tmp_path, **files).report_memory_released(1)
    if text == "\0\0\0":
        assert report.reportable_free_bytes == 0
        return
    assert report.reportable_free_bytes is None
    assert report.page_order is None
    assert report.compaction_would_help is None
    assert report.mechanism == "free-page-reporting"


def test_without_reporting_the_host_must_inflate(tmp_path: Path) -> None:
    report = driver_of("vmware", tmp_path).report_memory_released(1)
    assert report.mechanism == "balloon"
    assert report.host_delay_s is None
    assert report.compaction_would_help is False
    assert "vmware" in report.host_sees


def test_without_a_balloon_the_host_gets_nothing(tmp_path: Path) -> None:
    report = driver_of("ec2", tmp_path).report_memory_released(1)
    assert report.mechanism is None
    assert "amazon" in report.host_sees


def test_reporting_counts_for_nothing_while_the_driver_is_not_loaded(tmp_path: Path) -> None:
    features = "sys/bus/virtio/devices/virtio2/features"
    balloon = driver_of("kvm_no_driver", tmp_path, **{features: "000001\n"})
    assert balloon.report_memory_released(1).mechanism is None


# --- compaction ------------------------------------------------------------------------------


def test_memory_is_compacted_only_if_asked(tmp_path: Path) -> None:
    files = {"proc/buddyinfo": BUDDYINFO, "proc/sys/vm/compact_memory": ""}
    balloon = driver_of("kvm_virtio", tmp_path, **files)
    balloon.report_memory_released(1)
    asked = tmp_path / "proc/sys/vm/compact_memory"
    assert asked.read_text() == ""
    report = balloon.report_memory_released(1, compact=True)
    assert asked.read_text() == "1"
    assert report.compacted
    assert report.compaction_gain_bytes == 0


def test_a_kernel_that_cannot_compact(tmp_path: Path) -> None:
    balloon = driver_of("kvm_virtio", tmp_path, **{"proc/buddyinfo": BUDDYINFO})
    with pytest.raises(nump.UnsupportedError, match="CONFIG_COMPACTION"):
        balloon.report_memory_released(1, compact=True)


def test_a_failed_compaction_takes_nothing_off_the_account(tmp_path: Path) -> None:
    balloon = driver_of("kvm_virtio", tmp_path)
    held = hold(64 * MIB)
    balloon.state()
    held.close()
    with pytest.raises(nump.UnsupportedError):
        balloon.report_memory_released(64 * MIB, compact=True)
    report = balloon.report_memory_released(64 * MIB)
    assert report.returned_bytes is not None
    assert report.returned_bytes >= 60 * MIB


def test_compaction_without_the_privilege() -> None:
    """Root may write anywhere, so the child gives that up first."""
    child.check("""
        import os, errno
        import numapool as nump

        balloon = nump.BalloonDriver()
        if os.geteuid() == 0:
            os.setgroups([])
            os.setuid(65534)
        try:
            balloon.report_memory_released(1, compact=True)
        except PermissionError as error:
            assert error.errno in (errno.EACCES, errno.EPERM), error
            assert "root" in str(error), error
        else:
            raise AssertionError("compaction is not refused")
    """)

"""What is said of a balloon: its state, and what became of released memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from numapool import _core
from numapool.base.units import size_text

#: PAGE_REPORTING_DELAY of the kernel's mm/page_reporting.c: free blocks wait so long for company.
REPORTING_DELAY_S = 2.0

Mechanism = Literal["free-page-reporting", "balloon"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BalloonState:
    """A balloon as it was when it was looked at.

    Attributes
    ----------
    driver : str or None
        "virtio", "vmware", "hyperv" or "xen"; None where there is no device.
    inflated_bytes : int or None
        Memory that the balloon has taken from this system; None where it cannot be read.
    target_bytes : int or None
        The size of balloon that the host asks for; None where the driver does not show it: those
        of virtio and Hyper-V never do.
    features : tuple[str, ...]
        What device and driver agreed on (virtio alone), by the names of the VIRTIO standard:
        "STATS_VQ", "DEFLATE_ON_OOM", "FREE_PAGE_HINT", "PAGE_POISON", "REPORTING" and others;
        "BIT_7" where it has no name.
    reports_free_pages : bool
        The host is told of free memory and takes it at once (free page reporting).
    deflates_on_oom : bool or None
        The balloon gives memory back before the OOM killer is called; None where the driver does
        not say. Where it does, MemTotal stays as the balloon grows; elsewhere it shrinks.
    source : str or None
        The file and figure of `inflated_bytes`.
    """

    driver: str | None
    inflated_bytes: int | None
    target_bytes: int | None
    features: tuple[str, ...]
    reports_free_pages: bool
    deflates_on_oom: bool | None
    source: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary fit for JSON."""
        return {**asdict(self), "features": list(self.features)}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseReport:
    """What became of memory that the caller released.

    Attributes
    ----------
    released_bytes : int
        What the caller said.
    returned_bytes : int or None
        How much of it the operating system has, as far as this process's memory shows: a lower
        bound, as other threads may have taken memory meanwhile. None where that cannot be read.
    heap_trimmed_bytes : int
        What of it the C library's heap gave back only now (malloc_trim).
    evidence : str
        How `returned_bytes` is known.
    mechanism : "free-page-reporting", "balloon" or None
        How the host gets it: by itself, if it inflates the balloon, or not at all (there may be
        no host).
    host_delay_s : float or None
        Seconds until the kernel begins to report, with "free-page-reporting"; else None.
    host_sees : str
        The same in words: by which means, from which block size, when.
    page_order : int or None
        Free blocks of ``2**page_order`` pages and larger are reported; smaller ones never.
    block_bytes : int or None
        The size of such a block.
    reportable_free_bytes, fragmented_free_bytes : int or None
        This system's free memory in blocks of at least `block_bytes`, and in smaller ones
        (/proc/buddyinfo).
    compaction_would_help : bool or None
        With "free-page-reporting": free memory in smaller blocks is at least a tenth of
        `released_bytes`, and at least one block. How much of it a compaction joins depends on
        where it lies, from none to two thirds of it. False for the other mechanisms, which take
        single pages; None where free blocks cannot be counted.
    compacted : bool
        Memory was compacted, as asked; the other attributes are from after it.
    compaction_gain_bytes : int
        By how much `reportable_free_bytes` grew over it; other users of memory count as well.
    """

    released_bytes: int
    returned_bytes: int | None
    heap_trimmed_bytes: int
    evidence: str
    mechanism: Mechanism | None
    host_delay_s: float | None
    host_sees: str
    page_order: int | None
    block_bytes: int | None
    reportable_free_bytes: int | None
    fragmented_free_bytes: int | None
    compaction_would_help: bool | None
    compacted: bool
    compaction_gain_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary fit for JSON."""
        return asdict(self)


def returned_of(
    released_bytes: int, account: tuple[int, int] | None, trimmed: bool
) -> tuple[int | None, str]:
    """Return how much of `released_bytes` is gone from this process, and how that is known.

    `account` is the most that was resident since the last look, and what is now, in bytes.
    """
    if account is None:
        return None, "this system does not tell what memory a process has"
    before, now = account
    after = ", after malloc_trim" if trimmed else ""
    return (
        min(released_bytes, before - now),
        f"VmRSS of /proc/self/status: {now} bytes{after}; up to {before} since the last look",
    )


def would_help(
    released_bytes: int, mechanism: Mechanism | None, blocks: _core.FreeBlocks | None
) -> bool | None:
    """Whether compaction would bring the host more, see :class:`ReleaseReport`."""
    if mechanism != "free-page-reporting":
        return False
    if blocks is None:
        return None
    return blocks.fragmented_bytes >= max(blocks.block_bytes, released_bytes // 10)


def in_words(
    mechanism: Mechanism | None,
    driver: str | None,
    blocks: _core.FreeBlocks | None,
    reason: str | None,
) -> str:
    """Say how and when the host sees what is free."""
    if mechanism is None:
        return f"the host gets nothing back: {reason}"
    if mechanism == "balloon":
        return (
            "the host is not told of free memory; it gets it as and when it inflates the "
            f"{driver} balloon"
        )
    size = ""
    if blocks is not None:
        default = ", the default" if blocks.order_assumed else ""
        size = f" of {size_text(blocks.block_bytes)} and more (order {blocks.order}{default})"
    return (
        f"the kernel tells the host of free blocks{size}, beginning {REPORTING_DELAY_S:.0f} s "
        "after they came free; the host takes them at once"
    )

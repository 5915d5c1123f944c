"""What the system itself says this process holds: memory, descriptors or handles, threads."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import NamedTuple

MEM_FREE = 0x10000  # winnt.h
TH32CS_SNAPTHREAD = 0x4  # tlhelp32.h


class Held(NamedTuple):
    """What must not grow with what comes and goes."""

    mapped_bytes: int
    resident_bytes: int
    open_files: int
    threads: int


def held() -> Held:
    """Ask the system what this process holds now."""
    if sys.platform == "win32":
        memory, (files, threads) = _memory(), _handles_and_threads()
        return Held(memory.PagefileUsage, memory.WorkingSetSize, files, threads)
    mapped, resident, *_ = map(int, Path("/proc/self/statm").read_text().split())
    page = os.sysconf("SC_PAGESIZE")
    files, threads = (
        sum(1 for _ in Path(f"/proc/self/{name}").iterdir()) for name in ("fd", "task")
    )
    return Held(mapped * page, resident * page, files, threads)


def is_mapped(address: int) -> bool:
    """Whether memory of this process is there, touched or not."""
    if sys.platform == "win32":
        region = _Region()
        size = ctypes.sizeof(region)
        asked = _kernel().VirtualQuery(ctypes.c_void_p(address), ctypes.byref(region), size)
        assert asked == size, f"VirtualQuery: error {ctypes.get_last_error()}"
        return region.State != MEM_FREE
    with Path("/proc/self/maps").open() as maps:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if start <= address < end:
                return True
    return False


class _Counters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of psapi.h."""

    _fields_ = (
        ("cb", ctypes.c_uint32),
        ("PageFaultCount", ctypes.c_uint32),
        ("PeakWorkingSetSize", ctypes.c_size_t),
        ("WorkingSetSize", ctypes.c_size_t),
        ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
        ("QuotaPagedPoolUsage", ctypes.c_size_t),
        ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
        ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
        ("PagefileUsage", ctypes.c_size_t),
        ("PeakPagefileUsage", ctypes.c_size_t),
    )


class _Region(ctypes.Structure):
    """MEMORY_BASIC_INFORMATION of winnt.h."""

    _fields_ = (
        ("BaseAddress", ctypes.c_void_p),
        ("AllocationBase", ctypes.c_void_p),
        ("AllocationProtect", ctypes.c_uint32),
        ("PartitionId", ctypes.c_uint16),
        ("RegionSize", ctypes.c_size_t),
        ("State", ctypes.c_uint32),
        ("Protect", ctypes.c_uint32),
        ("Type", ctypes.c_uint32),
    )


class _Thread(ctypes.Structure):
    """THREADENTRY32 of tlhelp32.h."""

    _fields_ = (
        ("dwSize", ctypes.c_uint32),
        ("cntUsage", ctypes.c_uint32),
        ("th32ThreadID", ctypes.c_uint32),
        ("th32OwnerProcessID", ctypes.c_uint32),
        ("tpBasePri", ctypes.c_int32),
        ("tpDeltaPri", ctypes.c_int32),
        ("dwFlags", ctypes.c_uint32),
    )


def _kernel() -> ctypes.CDLL:
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    kernel.VirtualQuery.restype = ctypes.c_size_t
    kernel.VirtualQuery.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    for name in ("GetCurrentProcess", "CreateToolhelp32Snapshot"):
        getattr(kernel, name).restype = ctypes.c_void_p
    return kernel  # type: ignore[no-any-return]


def _memory() -> _Counters:
    kernel, counters = _kernel(), _Counters()
    counters.cb = ctypes.sizeof(counters)
    own = ctypes.c_void_p(kernel.GetCurrentProcess())
    assert kernel.K32GetProcessMemoryInfo(own, ctypes.byref(counters), counters.cb)
    return counters


def _handles_and_threads() -> tuple[int, int]:
    kernel, handles, entry = _kernel(), ctypes.c_uint32(), _Thread()
    own = ctypes.c_void_p(kernel.GetCurrentProcess())
    assert kernel.GetProcessHandleCount(own, ctypes.byref(handles))
    entry.dwSize = ctypes.sizeof(entry)
    snapshot = ctypes.c_void_p(kernel.CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0))
    threads = 0
    more = kernel.Thread32First(snapshot, ctypes.byref(entry))
    while more:
        threads += entry.th32OwnerProcessID == os.getpid()
        more = kernel.Thread32Next(snapshot, ctypes.byref(entry))
    kernel.CloseHandle(snapshot)
    assert threads, "this process has no thread in the snapshot"
    return handles.value, threads

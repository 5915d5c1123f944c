"""Which CPUs threads run on under Windows: processor groups and affinity within one of them.

A CPU's number is its group's times 64, plus its number there, as in the topology. A thread runs in
one group at a time; where CPUs of several are asked for, threads get the groups in turn. Sources:
"Processor Groups", "SetThreadGroupAffinity" and "CPU Sets" in Microsoft's Win32 documentation.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterable
from typing import Any

CPUS_PER_GROUP = 64

_ALL_PROCESSES_THREADS = 0x4  # TH32CS_SNAPTHREAD
_SET_AND_QUERY = 0x0020 | 0x0040  # THREAD_SET_INFORMATION, THREAD_QUERY_INFORMATION
_ERROR_INVALID_PARAMETER = 87
_NO_MORE_FILES = 18


class GroupAffinity(ctypes.Structure):
    """GROUP_AFFINITY of winnt.h."""

    _fields_ = (
        ("mask", ctypes.c_size_t),
        ("group", ctypes.c_uint16),
        ("reserved", ctypes.c_uint16 * 3),
    )


class ThreadEntry(ctypes.Structure):
    """THREADENTRY32 of tlhelp32.h."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("usage", ctypes.c_uint32),
        ("thread_id", ctypes.c_uint32),
        ("process_id", ctypes.c_uint32),
        ("base_priority", ctypes.c_int32),
        ("delta_priority", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
    )


class CpuSet(ctypes.Structure):
    """SYSTEM_CPU_SET_INFORMATION of winnt.h, as far as it is read here."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("cpu_set_id", ctypes.c_uint32),
        ("group", ctypes.c_uint16),
        ("number", ctypes.c_uint8),
    )


def bits(group: int, mask: int) -> frozenset[int]:
    """Return the CPUs of a mask of a group."""
    return frozenset(
        group * CPUS_PER_GROUP + bit for bit in range(CPUS_PER_GROUP) if mask >> bit & 1
    )


class WindowsCpus:
    """The CPUs of this process's threads, as kernel32.dll tells and sets them.

    Parameters
    ----------
    kernel32 : ctypes.WinDLL
        Or what stands in for it in tests.
    """

    def __init__(self, kernel32: Any) -> None:
        self._kernel = kernel32
        for name in ("GetCurrentProcess", "GetCurrentThread", "OpenThread"):
            getattr(kernel32, name).restype = ctypes.c_void_p
        kernel32.CreateToolhelp32Snapshot.restype = ctypes.c_void_p
        self._turns = itertools.count()

    def get(self, thread: int = 0) -> frozenset[int]:
        """Return the CPUs that a thread may run on; 0 is the calling one."""
        affinity = GroupAffinity()
        with _Thread(self._kernel, thread) as handle:
            self._require(self._kernel.GetThreadGroupAffinity(handle, ctypes.byref(affinity)))
        return bits(affinity.group, affinity.mask)

    def set(self, cpus: Iterable[int], thread: int = 0) -> None:
        """Have a thread run on CPUs: on those of one group, where they are of several."""
        masks: dict[int, int] = {}
        for cpu in cpus:
            group, bit = divmod(cpu, CPUS_PER_GROUP)
            masks[group] = masks.get(group, 0) | 1 << bit
        if not masks:
            raise _error(_ERROR_INVALID_PARAMETER)
        group = sorted(masks)[next(self._turns) % len(masks)]
        affinity = GroupAffinity(mask=masks[group], group=group)
        with _Thread(self._kernel, thread) as handle:
            self._require(self._kernel.SetThreadGroupAffinity(handle, ctypes.byref(affinity), None))

    def usable(self) -> frozenset[int]:
        """Return the CPUs that threads of this process may choose from.

        All of the machine's, unless the process was given fewer of its group (``start /affinity``).
        """
        own, every = ctypes.c_size_t(), ctypes.c_size_t()
        process = ctypes.c_void_p(self._kernel.GetCurrentProcess())
        self._require(
            self._kernel.GetProcessAffinityMask(process, ctypes.byref(own), ctypes.byref(every))
        )
        if own.value != every.value:  # both are 0 where its threads are in several groups
            count = ctypes.c_uint16(1)
            group = ctypes.c_uint16()
            self._require(
                self._kernel.GetProcessGroupAffinity(
                    process, ctypes.byref(count), ctypes.byref(group)
                )
            )
            return bits(group.value, own.value)
        return frozenset(
            group * CPUS_PER_GROUP + number
            for group in range(self._kernel.GetActiveProcessorGroupCount())
            for number in range(self._kernel.GetActiveProcessorCount(ctypes.c_uint16(group)))
        )

    def threads(self) -> list[int]:
        """Return the ids of this process's threads."""
        snapshot = ctypes.c_void_p(self._kernel.CreateToolhelp32Snapshot(_ALL_PROCESSES_THREADS, 0))
        if snapshot.value in (None, ctypes.c_void_p(-1).value):
            raise _error(self._last_error())
        own = self._kernel.GetCurrentProcessId()
        found: list[int] = []
        try:
            entry = ThreadEntry(size=ctypes.sizeof(ThreadEntry))
            more = self._kernel.Thread32First(snapshot, ctypes.byref(entry))
            while more:
                if entry.process_id == own:
                    found.append(entry.thread_id)
                more = self._kernel.Thread32Next(snapshot, ctypes.byref(entry))
            if self._last_error() != _NO_MORE_FILES and not found:
                raise _error(self._last_error())
        finally:
            self._kernel.CloseHandle(snapshot)
        return found

    def have_follow(self, cpus: Iterable[int]) -> None:
        """Have threads that are started from now on run on CPUs, unless they choose others.

        Raises
        ------
        OSError
            This Windows has no CPU sets (before 10), or refuses.
        """
        wanted = frozenset(cpus)
        ids = [one for cpu, one in self._cpu_sets() if cpu in wanted]
        chosen = (ctypes.c_uint32 * len(ids))(*ids)
        process = ctypes.c_void_p(self._kernel.GetCurrentProcess())
        try:
            choose = self._kernel.SetProcessDefaultCpuSets
        except AttributeError:
            raise OSError("SetProcessDefaultCpuSets: this Windows does not have it") from None
        self._require(choose(process, chosen, ctypes.c_uint32(len(ids))))

    def _cpu_sets(self) -> list[tuple[int, int]]:
        try:
            ask = self._kernel.GetSystemCpuSetInformation
        except AttributeError:
            raise OSError("GetSystemCpuSetInformation: this Windows does not have it") from None
        process = ctypes.c_void_p(self._kernel.GetCurrentProcess())
        size = ctypes.c_uint32()
        ask(None, 0, ctypes.byref(size), process, 0)
        held = ctypes.create_string_buffer(max(size.value, 1))
        self._require(ask(held, size, ctypes.byref(size), process, 0))
        found = []
        at = 0
        while at + ctypes.sizeof(CpuSet) <= size.value:
            one = CpuSet.from_buffer(held, at)
            found.append((one.group * CPUS_PER_GROUP + one.number, one.cpu_set_id))
            if one.size == 0:
                break
            at += one.size
        return found

    def _require(self, done: int) -> None:
        if not done:
            raise _error(self._last_error())

    def _last_error(self) -> int:
        return _last_error(self._kernel)


class _Thread:
    """A thread's handle, for a ``with`` block."""

    def __init__(self, kernel: Any, thread: int) -> None:
        self._kernel = kernel
        self._thread = thread
        self._opened: ctypes.c_void_p | None = None

    def __enter__(self) -> ctypes.c_void_p:
        if self._thread == 0:
            return ctypes.c_void_p(self._kernel.GetCurrentThread())
        handle = self._kernel.OpenThread(_SET_AND_QUERY, False, self._thread)
        if not handle:
            code = _last_error(self._kernel)
            if code == _ERROR_INVALID_PARAMETER:
                raise ProcessLookupError(f"there is no thread {self._thread}")
            raise _error(code)
        self._opened = ctypes.c_void_p(handle)
        return self._opened

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._kernel.CloseHandle(self._opened)


def _last_error(kernel: Any) -> int:
    # Of the library's last call: what the interpreter asks of Windows in between does not count.
    kept = getattr(ctypes, "get_last_error", None)
    real = kept is not None and isinstance(kernel, ctypes.CDLL)
    return int(kept() if kept is not None and real else kernel.GetLastError())


def _error(code: int) -> OSError:
    """Return Windows' error as Python's, with errno's nearest equivalent."""
    win_error = getattr(ctypes, "WinError", None)
    if win_error is not None:
        error: OSError = win_error(code)
        return error
    return OSError(code, f"Windows error {code}")  # a stand-in's, on another system

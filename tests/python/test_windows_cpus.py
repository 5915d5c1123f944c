"""Threads' CPUs on Windows, over a kernel32 that is made up: several groups, refusals, CPU sets."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import pytest

from numapool.threads.windows_cpus import GroupAffinity, ThreadEntry, WindowsCpus

_INVALID = 87
_DENIED = 5
_CURRENT_THREAD = 0xFFFE


class _Function:
    """A function of the library: its result type may be set, as ctypes has it."""

    restype: Any = None

    def __init__(self, call: Any) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)


@dataclass
class Kernel32:
    """What Windows would answer. Threads by id: (group, mask)."""

    groups: list[int] = field(default_factory=lambda: [4, 2])
    own_mask: int = 0
    every_mask: int = 0
    own_group: int = 0
    threads: dict[int, tuple[int, int]] = field(
        default_factory=lambda: {_CURRENT_THREAD: (0, 15), 7: (0, 15), 8: (0, 15)}
    )
    has_cpu_sets: bool = True
    default_cpu_sets: list[int] = field(default_factory=list)
    error: int = 0
    open_handles: int = 0

    def __getattr__(self, name: str) -> _Function:
        call = getattr(type(self), f"_{name}", None)
        if call is None or (not self.has_cpu_sets and "CpuSet" in name):
            raise AttributeError(name)
        made = _Function(call.__get__(self))
        object.__setattr__(self, name, made)
        return made

    def _fail(self, error: int) -> int:
        self.error = error
        return 0

    def _GetLastError(self) -> int:
        return self.error

    def _GetCurrentProcess(self) -> int:
        return 0xFFFF

    def _GetCurrentThread(self) -> int:
        return _CURRENT_THREAD

    def _GetCurrentProcessId(self) -> int:
        return 42

    def _OpenThread(self, access: int, inherit: bool, thread: int) -> int:
        if thread not in self.threads:
            return self._fail(_INVALID)
        self.open_handles += 1
        return thread

    def _CloseHandle(self, handle: ctypes.c_void_p) -> int:
        self.open_handles -= 1
        return 1

    def _GetThreadGroupAffinity(self, handle: ctypes.c_void_p, out: Any) -> int:
        affinity = ctypes.cast(out, ctypes.POINTER(GroupAffinity)).contents
        affinity.group, affinity.mask = self.threads[handle.value or 0]
        return 1

    def _SetThreadGroupAffinity(self, handle: ctypes.c_void_p, given: Any, before: None) -> int:
        wanted = ctypes.cast(given, ctypes.POINTER(GroupAffinity)).contents
        if handle.value == 8:
            return self._fail(_DENIED)
        if wanted.group >= len(self.groups) or wanted.mask >> self.groups[wanted.group]:
            return self._fail(_INVALID)
        self.threads[handle.value or 0] = (wanted.group, wanted.mask)
        return 1

    def _GetProcessAffinityMask(self, process: ctypes.c_void_p, own: Any, every: Any) -> int:
        ctypes.cast(own, ctypes.POINTER(ctypes.c_size_t)).contents.value = self.own_mask
        ctypes.cast(every, ctypes.POINTER(ctypes.c_size_t)).contents.value = self.every_mask
        return 1

    def _GetProcessGroupAffinity(self, process: ctypes.c_void_p, count: Any, groups: Any) -> int:
        ctypes.cast(groups, ctypes.POINTER(ctypes.c_uint16)).contents.value = self.own_group
        return 1

    def _GetActiveProcessorGroupCount(self) -> int:
        return len(self.groups)

    def _GetActiveProcessorCount(self, group: ctypes.c_uint16) -> int:
        return self.groups[group.value]

    def _CreateToolhelp32Snapshot(self, flags: int, process: int) -> int:
        self.open_handles += 1
        self.listed = iter([(42, 7), (41, 9), (42, 8)])
        return 99

    def _Thread32First(self, snapshot: ctypes.c_void_p, out: Any) -> int:
        entry = ctypes.cast(out, ctypes.POINTER(ThreadEntry)).contents
        assert entry.size == ctypes.sizeof(ThreadEntry)
        found = next(self.listed, None)
        if found is None:
            return self._fail(18)  # ERROR_NO_MORE_FILES
        entry.process_id, entry.thread_id = found
        return 1

    _Thread32Next = _Thread32First

    def _GetSystemCpuSetInformation(
        self, into: Any, size: Any, needed: Any, process: ctypes.c_void_p, flags: int
    ) -> int:
        """One entry of 32 bytes for each CPU; its id is 256 and more."""
        cpus = [(group, bit) for group, count in enumerate(self.groups) for bit in range(count)]
        ctypes.cast(needed, ctypes.POINTER(ctypes.c_uint32)).contents.value = 32 * len(cpus)
        if into is None:
            return self._fail(122)  # ERROR_INSUFFICIENT_BUFFER
        for number, (group, bit) in enumerate(cpus):
            words = (ctypes.c_uint32 * 8).from_buffer(into, 32 * number)
            words[0], words[2], words[3] = 32, 256 + number, group | bit << 16
        return 1

    def _SetProcessDefaultCpuSets(
        self, process: ctypes.c_void_p, ids: Any, count: ctypes.c_uint32
    ) -> int:
        self.default_cpu_sets = [ids[at] for at in range(count.value)]
        return 1


def test_a_thread_has_the_cpus_of_its_group() -> None:
    kernel = Kernel32(threads={_CURRENT_THREAD: (1, 0b10)})
    assert WindowsCpus(kernel).get() == {65}


def test_a_thread_is_put_on_cpus_of_one_group_and_back() -> None:
    kernel = Kernel32()
    cpus = WindowsCpus(kernel)
    before = cpus.get()
    cpus.set({64, 65})
    assert cpus.get() == {64, 65}
    cpus.set(before)
    assert cpus.get() == before == {0, 1, 2, 3}


def test_threads_get_the_groups_of_a_node_in_turn() -> None:
    kernel = Kernel32()
    cpus = WindowsCpus(kernel)
    seen = []
    for _ in range(4):
        cpus.set({2, 3, 64}, thread=7)
        seen.append(cpus.get(7))
    assert seen == [{2, 3}, {64}, {2, 3}, {64}]
    assert kernel.open_handles == 0


@pytest.mark.parametrize("cpus", [set(), {4}, {130}])
def test_cpus_that_are_none_are_refused_and_nothing_changes(cpus: set[int]) -> None:
    kernel = Kernel32()
    with pytest.raises(OSError):
        WindowsCpus(kernel).set(cpus)
    assert WindowsCpus(kernel).get() == {0, 1, 2, 3}


def test_threads_that_have_ended_or_are_refused_are_told_apart() -> None:
    kernel = Kernel32()
    with pytest.raises(ProcessLookupError, match="12345"):
        WindowsCpus(kernel).set({1}, thread=12345)
    with pytest.raises(OSError, match=r"5|denied"):
        WindowsCpus(kernel).set({1}, thread=8)
    assert kernel.open_handles == 0


def test_a_process_may_use_all_groups_unless_it_was_given_less() -> None:
    assert WindowsCpus(Kernel32(own_mask=15, every_mask=15)).usable() == {0, 1, 2, 3, 64, 65}
    assert WindowsCpus(Kernel32()).usable() == {0, 1, 2, 3, 64, 65}
    assert WindowsCpus(Kernel32(own_mask=3, every_mask=15, own_group=1)).usable() == {64, 65}


def test_the_threads_of_this_process_are_listed() -> None:
    kernel = Kernel32()
    assert WindowsCpus(kernel).threads() == [7, 8]
    assert kernel.open_handles == 0


def test_later_threads_follow_by_cpu_sets() -> None:
    kernel = Kernel32()
    WindowsCpus(kernel).have_follow({1, 64})
    assert kernel.default_cpu_sets == [257, 260]


def test_a_windows_without_cpu_sets_says_so() -> None:
    with pytest.raises(OSError, match="does not have it"):
        WindowsCpus(Kernel32(has_cpu_sets=False)).have_follow({1})

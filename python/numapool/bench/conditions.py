"""What spoils figures: AutoNUMA, changing frequency, steal time, other work, a cgroup's quota."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from numapool import _core
from numapool.bench.report import BenchWarning
from numapool.probes.cgroups import Cgroup, cpu_cgroup, unified_cgroup
from numapool.probes.machine import Machine

_BALANCING = "/proc/sys/kernel/numa_balancing"
# proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user time.
_USER, _NICE, _SYSTEM, _IDLE, _IOWAIT, _IRQ, _SOFTIRQ, _STEAL = range(8)
_BUSY = (_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ)

# Above these the figures are likely to be off by more than they vary anyway.
_STEAL_SHARE = 0.01
_OTHERS_SHARE = 0.05
_SPEED_CHANGE = 0.05

_SPIN_STEPS = 100_000  # some 150 us
_SPINS = 7  # the shortest of them was not interrupted


@dataclass(frozen=True, slots=True)
class _Look:
    """Counters at one moment; None where the system does not tell."""

    ticks: tuple[int, ...] | None
    own_s: float
    throttled: dict[str, int]


class Conditions:
    """Watches the machine from its making to :meth:`warnings`.

    Parameters
    ----------
    machine : Machine
    cpus : iterable of int
        Those that are measured with.
    """

    def __init__(self, machine: Machine, cpus: Iterable[int]) -> None:
        self._machine = machine
        self._cpus = frozenset(cpus)
        self._speeds: list[int] = []
        self._begin = self._look()
        self.time_speed()

    def time_speed(self) -> None:
        """Time some arithmetic: the processor's speed now."""
        self._speeds.append(min(_core.bench_spin_ns(_SPIN_STEPS) for _ in range(_SPINS)))

    def warnings(self) -> tuple[BenchWarning, ...]:
        """Say what spoiled the figures since this object was made."""
        self.time_speed()
        return tuple(
            BenchWarning(kind=kind, text=text)
            for found in (
                self._balancing(),
                self._speed(),
                self._stolen(self._begin, self._look()),
                self._quota(),
            )
            for kind, text in found
        )

    def _look(self) -> _Look:
        times = os.times()
        return _Look(
            ticks=cpu_ticks(self._machine.read("/proc/stat") or "", self._cpus),
            own_s=times.user + times.system,
            throttled={folder: count for folder, _, count in quotas(self._machine)},
        )

    def _balancing(self) -> Iterator[tuple[str, str]]:
        if self._machine.number(_BALANCING):
            yield (
                "automatic balancing",
                f"AutoNUMA is on ({_BALANCING}): the kernel's scans cost time, and memory that "
                "other libraries allocate moves; as root, write 0 there to measure without it",
            )

    def _speed(self) -> Iterator[tuple[str, str]]:
        fastest, slowest = min(self._speeds), max(self._speeds)
        change = slowest / fastest - 1
        if change <= _SPEED_CHANGE:
            return
        governors = {
            self._machine.read(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")
            for cpu in self._cpus
        } - {None}
        hint = f" (governor {', '.join(sorted(map(str, governors)))})" if governors else ""
        yield (
            "frequency",
            f"the processor's speed changed by {change:.0%} meanwhile{hint}: arithmetic that waits "
            "for no memory took longer at times",
        )

    def _stolen(self, before: _Look, after: _Look) -> Iterator[tuple[str, str]]:
        if before.ticks is None or after.ticks is None:
            return
        gone = [b - a for a, b in zip(before.ticks, after.ticks, strict=True)]
        total = sum(gone)
        if total <= 0:
            return
        stolen = gone[_STEAL] / total
        if stolen > _STEAL_SHARE:
            yield (
                "steal",
                f"the hypervisor gave {stolen:.0%} of the CPUs' time to others (steal time)",
            )
        if sys.platform == "win32":
            return
        busy = sum(gone[i] for i in _BUSY)
        own = (after.own_s - before.own_s) * os.sysconf("SC_CLK_TCK")
        others = max(busy - own, 0) / total
        if others > _OTHERS_SHARE:
            yield ("other work", f"other programs used {others:.0%} of the CPUs' time meanwhile")

    def _quota(self) -> Iterator[tuple[str, str]]:
        for folder, cpus, count in quotas(self._machine):
            throttled = count - self._begin.throttled.get(folder, count)
            if cpus >= len(self._cpus) and not throttled:
                continue
            yield (
                "cgroup",
                f"the cgroup {folder} has a quota of {cpus:.1f} CPUs"
                + (f", and stopped this program {throttled} times meanwhile" if throttled else "")
                + ": bandwidths may be its, not the memory's",
            )


def cpu_ticks(stat: str, cpus: frozenset[int]) -> tuple[int, ...] | None:
    """Sum up the first eight counters of proc_stat(5) over some CPUs; None if none is there."""
    sums = [0] * (_STEAL + 1)
    seen = False
    for line in stat.splitlines():
        name, *fields = line.split()
        number = name.removeprefix("cpu")
        if name == number or not number.isdigit() or int(number) not in cpus:
            continue
        seen = True
        for i, field in enumerate(fields[: len(sums)]):
            sums[i] += int(field)
    return tuple(sums) if seen else None


def quotas(machine: Machine) -> Iterator[tuple[str, float, int]]:
    """Give each quota on CPU time that holds for this process: folder, CPUs, times throttled."""
    for cgroup in (unified_cgroup(machine), cpu_cgroup(machine)):
        if cgroup is None:
            continue
        for folder in cgroup.levels():
            cpus = _quota_of(machine, cgroup, folder)
            if cpus is not None:
                yield folder, cpus, _throttled(machine, folder)


def _quota_of(machine: Machine, cgroup: Cgroup, folder: str) -> float | None:
    if cgroup.version == 2:
        fields = (machine.read(f"{folder}/cpu.max") or "").split()
        quota, period = fields if len(fields) == 2 else ("max", "0")
    else:
        quota = machine.read(f"{folder}/cpu.cfs_quota_us") or "-1"
        period = machine.read(f"{folder}/cpu.cfs_period_us") or "0"
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)


def _throttled(machine: Machine, folder: str) -> int:
    for line in (machine.read(f"{folder}/cpu.stat") or "").splitlines():
        name, _, value = line.partition(" ")
        if name == "nr_throttled" and value.strip().isdigit():
            return int(value)
    return 0

"""The monitor's policy, events and counts: when memory is short, and how that is reported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from typing import Any

from numapool import _core
from numapool.base import arguments

_MIB = 1 << 20


class PressureLevel(IntEnum):
    """How short memory is."""

    NONE = _core.PressureLevel.NONE.value
    MODERATE = _core.PressureLevel.MODERATE.value
    CRITICAL = _core.PressureLevel.CRITICAL.value


_NAMED = {source.name.lower().replace("_", "-"): source for source in _core.PressureSource}
#: The names of what events have as their source.
NAMES = {source: name for name, source in _NAMED.items()}
#: What events of a rehearsal (numapool.testing.pressure) have as their source: nothing to watch.
REHEARSAL = "rehearsal"
#: The core's sources by their names: "cgroup-psi", "psi", "cgroup", "cgroup-v1", ...
SOURCES = {name: source for name, source in _NAMED.items() if name != REHEARSAL}


@dataclass(frozen=True, kw_only=True, slots=True)
class PressurePolicy:
    """When there is pressure, and how much memory is asked for.

    A *stall* is time in which tasks wait for memory (Linux PSI,
    Documentation/accounting/psi.rst). A *margin* is memory to keep available; the part missing
    from it is the demand. A stall without a measurable deficit demands a step, which doubles while
    the stall lasts.

    Attributes
    ----------
    moderate_stall_s : float
        Seconds of ``some`` stall in `window_s` that are moderate pressure. Default 0.035: 7 % of
        the time, as Android's lmkd has it for partial stalls (70 ms in 1 s).
    critical_stall_s : float
        Seconds of ``full`` stall in `window_s` that are critical. Default 0.25: half of the time,
        as ChromeOS's resourced has it (500 ms in 1 s).
    window_s : float
        The window, from 0.5 to 10 s as the kernel's triggers have it. Default 0.5.
    margin_bytes : int, optional
        Bytes of the machine's available memory (MemAvailable) to keep. Default: 5 % of the memory
        (resourced's critical margin is 5.2 %), at least 32 MiB and at most 1 GiB.
    cgroup_margin_bytes : int, optional
        Bytes to keep below memory.high or memory.max of the tightest cgroup, clean file cache not
        counted. Default: 5 % of the limit, at least 16 MiB (or a quarter of it), at most 1 GiB.
    node_margin_bytes : int, optional
        Bytes to keep on each node above the kernel's high watermarks, clean file cache counted as
        available; on machines with two nodes or more. Default: 1 % of the node's memory, at least
        16 MiB and at most 256 MiB.
    critical_share : float
        Less than this share of a margin available is critical. Default 0.25.
    hysteresis : float
        A deficit ends at so much more than the margin. Default 0.1.
    step_bytes : int
        The first step of a stall without a deficit. Default 32 MiB.
    cooldown_s : float
        Seconds between equal demands, at least; the pause doubles up to 16 times this while the
        demand stays the same. Default 0.25, half a window.
    relief_s : float
        Seconds without evidence after which pressure is over. Default 2, as resourced has it.
    poll_s : float
        Seconds between looks where no trigger may wake the monitor. Default 0.1.
    """

    moderate_stall_s: float = 0.035
    critical_stall_s: float = 0.25
    window_s: float = 0.5
    margin_bytes: int | None = None
    cgroup_margin_bytes: int | None = None
    node_margin_bytes: int | None = None
    critical_share: float = 0.25
    hysteresis: float = 0.1
    step_bytes: int = 32 * _MIB
    cooldown_s: float = 0.25
    relief_s: float = 2.0
    poll_s: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            whole = field.name.endswith("_bytes")
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                takes = "an integer number of bytes" if whole else "a number"
                raise TypeError(arguments.must_be(field.name, takes, value))
            if not value < math.inf or value < 0 or value >= 2**62:
                raise ValueError(arguments.must_be(field.name, "0 or more, and finite", value))
        for name, least, most in (
            ("window_s", 0.5, 10),
            ("moderate_stall_s", 0.001, self.window_s),
            ("critical_stall_s", 0.001, self.window_s),
            ("cooldown_s", 0.01, 3600),
            ("relief_s", 0.01, 3600),
            ("poll_s", 0.005, 3600),
            ("step_bytes", 1, 2**62),
            ("critical_share", 0, 1),
            ("hysteresis", 0, 10),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                takes = f"from {least} to {most}" + (" (window_s)" if "_stall_" in name else "")
                raise ValueError(arguments.must_be(name, takes, value))


@dataclass(frozen=True, kw_only=True, slots=True)
class PressureEvent:
    """Memory is short, or is so no longer (level NONE).

    Attributes
    ----------
    level : PressureLevel
    demand_bytes : int
        Bytes that are to be released.
    trimmed_bytes : int
        Bytes that the attached pools have released already.
    node_id : int or None
        The node where memory is short; None: the machine, or the cgroup.
    source : str
        What gave the evidence: one of the names in :attr:`PressureMonitor.sources`, or
        ``"rehearsal"``.
    stall_s : float
        Seconds in which some tasks waited for memory, of the policy's window.
    origin_monotonic_ns : int
        When the pressure began, on the clock of :func:`time.monotonic_ns`.
    """

    level: PressureLevel
    demand_bytes: int
    trimmed_bytes: int
    node_id: int | None
    source: str
    stall_s: float
    origin_monotonic_ns: int

    @property
    def bytes_to_release(self) -> int:
        """The bytes you should still release: the demand less the bytes trimmed."""
        return max(0, self.demand_bytes - self.trimmed_bytes)

    @property
    def rehearsed(self) -> bool:
        """Whether it is a rehearsal (``numapool.testing.pressure``): no memory is short."""
        return self.source == REHEARSAL

    def to_dict(self) -> dict[str, Any]:
        """Return the event as a dictionary fit for JSON."""
        return {
            **asdict(self),
            "level": self.level.name,
            "bytes_to_release": self.bytes_to_release,
            "rehearsed": self.rehearsed,
        }


def event_of(event: _core.PressureEvent) -> PressureEvent:
    """Make a public event of the core's."""
    return PressureEvent(
        level=PressureLevel(event.level),
        demand_bytes=event.demand_bytes,
        trimmed_bytes=event.trimmed_bytes,
        node_id=event.node_id,
        source=NAMES[event.source],
        stall_s=event.stall_us / 1e6,
        origin_monotonic_ns=event.origin_ns,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PressureSource:
    """One source of evidence.

    Attributes
    ----------
    name : str
    active : bool
        Whether the monitor watches it.
    wakes : bool
        Whether it wakes the monitor by itself; else it is looked at now and then.
    path : str
        The file behind it; empty if there is none.
    detail : str
        How it is watched, or why it is not.
    """

    name: str
    active: bool
    wakes: bool
    path: str
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """Return the source as a dictionary fit for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class PressureStatistics:
    """What a monitor saw and did since it was made.

    Attributes
    ----------
    events_by_source : mapping of str to int
        Events, relief included; sources without any are left out.
    trimmed_bytes : int
        Bytes that attached pools released.
    reactions_by_limit_s : mapping of float to int
        Reaction times, from the beginning of the pressure to memory released: how many took at most
        so many seconds and more than the limit before; ``inf`` has the rest.
    reaction_sum_s : float
        The sum of all reaction times in seconds.
    looks : int
        Looks at all sources.
    dropped_events : int
        Events that a subscriber missed because it was more than 1024 behind.
    """

    events_by_source: Mapping[str, int]
    trimmed_bytes: int
    reactions_by_limit_s: Mapping[float, int]
    reaction_sum_s: float
    looks: int
    dropped_events: int

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as a dictionary fit for JSON."""
        limits = {
            "inf" if math.isinf(limit) else str(limit): count
            for limit, count in self.reactions_by_limit_s.items()
        }
        return {
            "events_by_source": dict(self.events_by_source),
            "trimmed_bytes": self.trimmed_bytes,
            "reactions_by_limit_s": limits,
            "reaction_sum_s": self.reaction_sum_s,
            "looks": self.looks,
            "dropped_events": self.dropped_events,
        }

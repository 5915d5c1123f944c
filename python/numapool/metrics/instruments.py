"""Every metric there is: its name, kind, unit, labels and meaning. Nothing else names one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "histogram", "info"]

#: How names end, and the unit in OpenTelemetry's notation (UCUM).
_UNITS = {"_bytes": "By", "_seconds": "s", "_ratio": "1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Instrument:
    """One metric; `name` is Prometheus' own, with the base unit and ``_total`` at its end."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def otel_name(self) -> str:
        """The name in OpenTelemetry: without the unit, which exporters for Prometheus add."""
        name = self.name.removesuffix("_total").replace("numapool_", "numapool.", 1)
        for ending in _UNITS:
            name = name.removesuffix(ending)
        return name

    @property
    def otel_unit(self) -> str:
        """The unit in OpenTelemetry."""
        name = self.name.removesuffix("_total")
        return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")


INSTRUMENTS: dict[str, Instrument] = {}


def _add(kind: Kind, name: str, meaning: str, *labels: str) -> None:
    INSTRUMENTS[name] = Instrument(
        name=f"numapool_{name}", kind=kind, meaning=meaning, labels=labels
    )


_add("info", "build", "The version of numapool.", "version")

_add("gauge", "pool_in_use_bytes", "Bytes in buffers that are out, by the node of the pages.",
     "pool", "node")  # fmt: skip
_add("gauge", "pool_retained_bytes", "Bytes that are resident and free for reuse, by node.",
     "pool", "node")  # fmt: skip
_add("gauge", "pool_high_water_bytes", "The most bytes of the node that were held at once.",
     "pool", "node")  # fmt: skip
_add("counter", "pool_hits_total", "Requests served by a retained block, by the node asked for.",
     "pool", "node")  # fmt: skip
_add("counter", "pool_larger_hits_total", "Hits by a block of a slightly larger class, by node.",
     "pool", "node")  # fmt: skip
_add("counter", "pool_misses_total", "Requests served by the system, by the node asked for.",
     "pool", "node")  # fmt: skip
_add("counter", "pool_spills_total", "Requests served from another node than the one asked for.",
     "pool", "node")  # fmt: skip
_add("counter", "pool_trimmed_bytes_total", "Bytes given back to the system, by node.",
     "pool", "node")  # fmt: skip
_add("gauge", "pool_max_bytes", "The most bytes that the pool may hold; absent without a limit.",
     "pool")  # fmt: skip

_add("gauge", "node_memory_bytes", "Memory of the node.", "node")
_add("gauge", "node_memory_free_bytes", "Free memory, clean file cache not counted.", "node")
_add("gauge", "node_cpus", "CPUs of the node that are online.", "node")
_add("gauge", "node_memory_available_bytes",
     "Free memory above the kernel's reserve, and clean file cache.", "node")  # fmt: skip
_add("counter", "node_allocated_pages_total",
     "Pages that the node gave, as numastat(8) counts: hit, miss, foreign, interleave_hit, "
     "local, other.", "node", "kind")  # fmt: skip

_add("gauge", "process_resident_bytes",
     "Bytes of this process that are in memory, by node and by use.",
     "node", "use")  # fmt: skip
_add("gauge", "process_threads", "Threads of this process, by the node each last ran on.", "node")
_add("gauge", "process_remote_ratio",
     "The share of memory accesses that go to another node than the thread's, by the evidence.",
     "evidence")  # fmt: skip
_add("gauge", "process_mappings", "Mappings of this process.")
_add(
    "gauge",
    "process_balanced_pages",
    "Pages that automatic balancing has moved for the threads that this process has now.",
)
_add("gauge", "process_residency_age_seconds", "How long ago the pages were looked for.")
_add("gauge", "process_residency_read_seconds", "How long that look took.")

_add("counter", "machine_migrated_pages_total",
     "Pages that the kernel has moved, whatever for, by result: success, fail.",
     "result")  # fmt: skip
_add("counter", "machine_demoted_pages_total", "Pages moved to a slower memory tier.")
_add("counter", "machine_promoted_pages_total", "Pages moved to a faster memory tier.")
_add("counter", "machine_balancing_faults_total",
     "Faults by which automatic balancing samples accesses, by place: local, remote.",
     "place")  # fmt: skip
_add(
    "counter", "machine_balancing_migrated_pages_total", "Pages that automatic balancing has moved."
)
_add("gauge", "machine_memory_bytes", "Memory of the machine (MemTotal).")
_add("gauge", "machine_memory_available_bytes", "Available memory of the machine (MemAvailable).")

_add("gauge", "cgroup_memory_bytes",
     "Memory of this process's cgroup, by node and kind (memory.numa_stat).",
     "node", "kind")  # fmt: skip
_add(
    "counter",
    "cgroup_balancing_faults_total",
    "Faults by which automatic balancing samples accesses of the cgroup.",
)
_add(
    "counter",
    "cgroup_balancing_migrated_pages_total",
    "Pages of the cgroup that automatic balancing has moved.",
)
_add("gauge", "cgroup_limit_bytes", "The limit with the least room.")
_add("gauge", "cgroup_needed_bytes", "What is charged to that limit, clean file cache left out.")

_add("gauge", "pressure_level", "How short memory is: 0 none, 1 moderate, 2 critical.")
_add("counter", "pressure_events_total",
     "Events of memory pressure, relief included, by what gave the evidence.",
     "source")  # fmt: skip
_add("counter", "pressure_trimmed_bytes_total", "Bytes that attached pools gave back.")
_add("counter", "pressure_looks_total", "Looks at all sources.")
_add("counter", "pressure_dropped_events_total", "Events that a slow subscriber missed.")
_add(
    "histogram",
    "pressure_reaction_seconds",
    "Time from the beginning of the pressure to memory released.",
)
_add("counter", "pressure_stall_seconds_total",
     "Time in which some or all tasks waited for memory (PSI).", "tasks")  # fmt: skip

_add("gauge", "balloon_available", "Whether a balloon is at work, 1 or 0.", "driver")
_add("gauge", "balloon_inflated_bytes", "What the host has taken.")
_add("gauge", "balloon_target_bytes", "What the host wants to take.")

"""Prometheus metrics: as prometheus_client's own parser reads them, beside what they stand for."""

from __future__ import annotations

import gc
import os
import re
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import child
from support.affinity import split_machine
from support.optional import needed
from support.waiting import within_seconds

import numapool as nump
from numapool.metrics import locality, otel
from numapool.metrics.instruments import INSTRUMENTS
from numapool.metrics.locality import Locality
from numapool.processes import cgroup_memory

MIB = 1 << 20
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(**options: Any) -> Samples:
    """Scrape a collector that is made for it."""
    needed("prometheus_client")
    return read(nump.MetricsCollector(**options))


def text_of(collector: nump.MetricsCollector) -> str:
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def read(collector: nump.MetricsCollector) -> Samples:
    """Return every sample by its name and labels; each is there once."""
    from prometheus_client.parser import text_string_to_metric_families

    found: Samples = {}
    for family in text_string_to_metric_families(text_of(collector)):
        assert family.documentation
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def of(samples: Samples, name: str, **labels: object) -> float:
    wanted = frozenset((key, str(value)) for key, value in labels.items())
    return samples[f"numapool_{name}", wanted]


def test_pools(node: int) -> None:
    with nump.BufferPool(max_bytes=64 * MIB, name="cache") as pool:
        held = pool.acquire(4 * MIB, node)
        for _ in range(3):
            pool.acquire(MIB, node).close()
        pool.trim(MIB)
        samples = scrape(pools=[pool])
        counts = pool.statistics().by_node[node]
        assert counts.hits == 2
        assert counts.trimmed_bytes == MIB
        for name in ("in_use_bytes", "retained_bytes", "high_water_bytes"):
            assert of(samples, f"pool_{name}", pool="cache", node=node) == getattr(counts, name)
        for name in ("hits", "larger_hits", "misses", "spills", "trimmed_bytes"):
            value = of(samples, f"pool_{name}_total", pool="cache", node=node)
            assert value == getattr(counts, name)
        assert of(samples, "pool_max_bytes", pool="cache") == 64 * MIB
        held.close()


def test_without_a_choice_every_open_pool_is_told_also_those_to_come(node: int) -> None:
    needed("prometheus_client")
    collector = nump.MetricsCollector()
    with nump.BufferPool() as first, nump.BufferPool() as second:
        assert first.name != second.name
        assert re.fullmatch(r"pool-\d+", first.name)
        first.reserve(MIB, 1, node)
        second.reserve(MIB, 2, node)
        samples = read(collector)
        assert of(samples, "pool_retained_bytes", pool=first.name, node=node) >= MIB
        assert of(samples, "pool_retained_bytes", pool=second.name, node=node) >= 2 * MIB
        for pool in (first, second):
            assert ("numapool_pool_max_bytes", frozenset({("pool", pool.name)})) not in samples
    ours = {("pool", first.name), ("pool", second.name)}  # other tests may have left pools open
    left = read(collector)
    assert not any(key[0] == "numapool_pool_in_use_bytes" and key[1] & ours for key in left)


def test_counters_never_fall_when_pools_end(node: int) -> None:
    """Neither for pools of one name, nor for one whose address another takes."""
    needed("prometheus_client")
    collector = nump.MetricsCollector()

    def misses() -> float:
        return of(read(collector), "pool_misses_total", pool="shared", node=node)

    first, second = nump.BufferPool(name="shared"), nump.BufferPool(name="shared")
    held = [pool.acquire(MIB, node) for pool in (first, second, second)]
    assert misses() == 3
    assert of(read(collector), "pool_in_use_bytes", pool="shared", node=node) == 3 * MIB
    del held
    second.close()
    assert misses() == 3
    del first, second
    gc.collect()
    assert misses() == 3
    for expected in range(4, 14):
        with nump.BufferPool(name="shared") as again:
            again.acquire(MIB, node).close()
            assert misses() == expected
        del again


def test_nodes() -> None:
    samples = scrape(pools=[])
    topology = nump.NumaTopology.detect()
    for node in topology.nodes:
        at = node.node_id
        assert of(samples, "node_memory_bytes", node=at) == node.total_memory_bytes
        assert 0 <= of(samples, "node_memory_free_bytes", node=at) <= node.total_memory_bytes
        assert of(samples, "node_cpus", node=at) == len(node.cpu_cores)
    assert of(samples, "build_info", version=nump.__version__) == 1


def test_nodes_that_come_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needed("prometheus_client")
    machine = split_machine(tmp_path)
    kept = nump.MetricsCollector(pools=[])
    monkeypatch.setattr(nump.NumaTopology, "detect", lambda: machine)
    told = {
        sample.labels["node"]
        for family in kept.collect()
        if family.name == "numapool_node_cpus"
        for sample in family.samples
    }
    assert told == {str(node.node_id) for node in machine.nodes} and len(told) > 1


def test_pressure(node: int) -> None:
    short = nump.PressurePolicy(margin_bytes=1 << 60, cooldown_s=0.02, poll_s=0.01)
    needed("prometheus_client")
    with nump.BufferPool() as pool, nump.PressureMonitor(short, sources=["meminfo"]) as monitor:
        pool.reserve(4 * MIB, 4, node)
        monitor.attach(pool)
        assert within_seconds(lambda: pool.statistics().total.trimmed_bytes >= 16 * MIB)
        assert within_seconds(lambda: monitor.statistics().trimmed_bytes >= 16 * MIB)
        before = monitor.statistics()
        samples = read(nump.MetricsCollector(pools=[], monitor=monitor))
        after, reading = monitor.statistics(), monitor.reading()
        assert reading is not None
        assert of(samples, "pressure_level") == nump.PressureLevel.CRITICAL
        events = of(samples, "pressure_events_total", source="meminfo")
        assert 1 <= before.events_by_source["meminfo"] <= events
        assert events <= after.events_by_source["meminfo"]
        assert of(samples, "pressure_trimmed_bytes_total") == before.trimmed_bytes
        assert before.looks <= of(samples, "pressure_looks_total") <= after.looks
        assert of(samples, "pressure_dropped_events_total") == 0
        assert of(samples, "machine_memory_bytes") == reading.total_bytes
        assert of(samples, "machine_memory_available_bytes") > 0

        # Buckets add up, as the histogram's rules want it.
        buckets = sorted(
            (float(dict(labels)["le"]), value)
            for (name, labels), value in samples.items()
            if name == "numapool_pressure_reaction_seconds_bucket"
        )
        counts = [value for _, value in buckets]
        assert counts == sorted(counts)
        assert buckets[-1][0] == float("inf")
        assert counts[-1] == of(samples, "pressure_reaction_seconds_count") >= 1
        assert len(buckets) == len(before.reactions_by_limit_s)
        assert of(samples, "pressure_reaction_seconds_sum") > 0


def test_every_source_that_is_watched(node: int) -> None:
    needed("prometheus_client")
    with nump.PressureMonitor() as monitor:
        assert within_seconds(lambda: monitor.reading() is not None)
        samples = read(nump.MetricsCollector(monitor=monitor))
        reading = monitor.reading()
        assert reading is not None
        for supply in reading.nodes:
            assert of(samples, "node_memory_available_bytes", node=supply.node_id) >= 0
        if reading.stall_some_s is not None:
            some = of(samples, "pressure_stall_seconds_total", tasks="some")
            assert 0 <= some <= reading.stall_some_s + 10


def test_balloon() -> None:
    balloon = nump.BalloonDriver()
    samples = scrape(pools=[], balloon=balloon)
    state = balloon.state()
    told = of(samples, "balloon_available", driver=state.driver or "none")
    assert told == balloon.available
    inflated = samples.get(("numapool_balloon_inflated_bytes", frozenset()))
    assert (inflated is None) is (state.inflated_bytes is None)


def test_names_follow_the_conventions() -> None:
    """Prefix, base units at the end, _total for what only grows and for nothing else."""
    for one in INSTRUMENTS.values():
        assert re.fullmatch(r"numapool_[a-z_]+", one.name)
        assert one.name.endswith("_total") is (one.kind == "counter"), one.name
        assert not re.search(r"_(ms|us|ns|kb|mib|percent)(_|$)", one.name)
        assert one.meaning.endswith(".") or ", fail." in one.meaning
        if one.kind == "histogram":
            assert one.name.endswith("_seconds")
    assert len({one.otel_name for one in INSTRUMENTS.values()}) == len(INSTRUMENTS)


def test_a_scrape_has_the_names_and_kinds_of_the_table() -> None:
    needed("prometheus_client")
    kinds = {one.name + "_info" * (one.kind == "info"): one.kind for one in INSTRUMENTS.values()}
    with nump.PressureMonitor() as monitor, nump.BufferPool(max_bytes=MIB):
        assert within_seconds(lambda: monitor.reading() is not None)
        collector = nump.MetricsCollector(monitor=monitor, balloon=nump.BalloonDriver())
        told = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text_of(collector), re.MULTILINE))
    assert len(told) > 20
    for name, kind in told.items():
        assert kind == kinds[name].replace("info", "gauge"), name


def test_a_page_of_the_documentation_lists_every_metric() -> None:
    page = child.TESTS.parents[1] / "docs" / "metrics.md"
    listed = set(re.findall(r"`(numapool_[a-z_]+)[`{]", page.read_text()))
    told = {one.name + "_info" * (one.kind == "info") for one in INSTRUMENTS.values()}
    assert {name for name in listed if not name.endswith(("_bucket", "_"))} == told


VMSTAT = """nr_free_pages 5
pgmigrate_success 70
pgmigrate_fail 3
pgpromote_success 9
pgdemote_kswapd 4
pgdemote_direct 2
numa_hint_faults 50
numa_hint_faults_local 40
numa_pages_migrated 8
"""


def proc_of(folder: Path) -> Locality:
    """Return what reads a made-up process with a thread on each of two nodes."""
    own = folder / "proc" / "self"
    for task, cpu in ((1, 0), (2, 1)):
        (own / "task" / str(task)).mkdir(parents=True)
        fields = ["S", *["0"] * 10, "5", "5", *["0"] * 23, str(cpu), "0"]
        (own / "task" / str(task) / "stat").write_text(f"{task} (x) {' '.join(fields)}\n")
        sched = "numa_pages_migrated    :      7\n"
        (own / "task" / str(task) / "sched").write_text(sched)
    own.joinpath("numa_maps").write_text(
        "10000 default heap anon=3 dirty=3 N0=2 N1=1 kernelpagesize_kB=4\n"
        "20000 default anon=1 dirty=1 N0=1 kernelpagesize_kB=4\n"
    )
    own.joinpath("cgroup").write_text("0::/a\n")
    (folder / "proc" / "vmstat").write_text(VMSTAT)
    node = folder / "nodes" / "node1"
    node.mkdir(parents=True)
    (node / "numastat").write_text("numa_hit 11\nnuma_miss 12\nother_node 13\n")
    (folder / "groups" / "a").mkdir(parents=True)
    (folder / "groups" / "a" / "memory.numa_stat").write_text("anon N0=1 N1=2\nx N0=3\n")
    stat = "anon 3\nnuma_hint_faults 4\nnuma_pages_migrated 5\n"
    (folder / "groups" / "a" / "memory.stat").write_text(stat)
    return Locality(str(folder / "proc"), str(folder / "nodes"))


def test_locality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup_memory, "_CGROUPS", str(tmp_path / "groups"))
    nodes = SimpleNamespace(node_of_cpu=lambda cpu: cpu, nodes=lambda: (0, 1))
    read = nump._core.process_memory
    monkeypatch.setattr(
        locality, "_core", SimpleNamespace(process_memory=read, current_topology=lambda: nodes)
    )
    found = {
        (name, labels): value
        for name, labels, value in proc_of(tmp_path).figures((0, 1))
        if "residency" not in name
    }
    assert found == {
        ("process_resident_bytes", (0, "heap")): 8192,
        ("process_resident_bytes", (1, "heap")): 4096,
        ("process_resident_bytes", (0, "private")): 4096,
        ("process_mappings", ()): 2,
        ("process_threads", (0,)): 1,
        ("process_threads", (1,)): 1,
        ("process_remote_ratio", ("estimate",)): 0.5,
        ("process_balanced_pages", ()): 14,
        ("node_allocated_pages_total", (1, "hit")): 11,
        ("node_allocated_pages_total", (1, "miss")): 12,
        ("node_allocated_pages_total", (1, "other")): 13,
        ("machine_migrated_pages_total", ("success",)): 70,
        ("machine_migrated_pages_total", ("fail",)): 3,
        ("machine_demoted_pages_total", ()): 6,
        ("machine_promoted_pages_total", ()): 9,
        ("machine_balancing_faults_total", ("local",)): 40,
        ("machine_balancing_faults_total", ("remote",)): 10,
        ("machine_balancing_migrated_pages_total", ()): 8,
        ("cgroup_memory_bytes", (0, "anon")): 1,
        ("cgroup_memory_bytes", (1, "anon")): 2,
        ("cgroup_balancing_faults_total", ()): 4,
        ("cgroup_balancing_migrated_pages_total", ()): 5,
    }
    assert {name for name, _ in found} <= set(INSTRUMENTS)


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    nothing = str(tmp_path / "nothing")
    assert list(Locality(nothing, nothing).figures((0, 1))) == []


def test_the_kernel_is_asked_for_pages_in_a_hundredth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that took 0.2 s is repeated after 20 s, and no scrape before that pays for one."""
    now, looks = 100.0, 0

    def look(_: str) -> SimpleNamespace:
        nonlocal now, looks
        now += 0.2
        looks += 1
        return SimpleNamespace(bytes_by_use={}, mappings=looks)

    monkeypatch.setattr(locality, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(locality, "_core", SimpleNamespace(process_memory=look))
    reader = Locality(str(tmp_path), str(tmp_path))
    for passed, expected in ((0, 1), (19.9, 1), (0.2, 2), (5, 2), (15.1, 3)):
        now += passed
        figures = {name: value for name, _, value in reader._of_pages()}
        assert figures["process_mappings"] == looks == expected


def test_this_process_is_told_as_the_kernel_tells_it(node: int) -> None:
    samples = scrape(pools=[])
    told = sum(
        value for (name, _), value in samples.items() if name == "numapool_process_resident_bytes"
    )
    assert told == pytest.approx(nump.process_placement().resident_bytes, rel=0.5)
    hits = of(samples, "node_allocated_pages_total", node=node, kind="hit")
    assert 0 < hits <= of(scrape(pools=[]), "node_allocated_pages_total", node=node, kind="hit")
    left_out = scrape(pools=[], locality=False)
    assert not any(name.startswith("numapool_process") for name, _ in left_out)


def test_opentelemetry_has_the_same_instruments(node: int) -> None:
    """Each instrument, each series and the same values; read once for each export."""
    sdk = needed("opentelemetry.sdk.metrics")
    reader = needed("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
    with nump.BufferPool(name="seen", max_bytes=MIB) as pool, nump.PressureMonitor() as monitor:
        assert within_seconds(lambda: monitor.reading() is not None)
        pool.reserve(MIB, 1, node)
        otel.instrument(
            sdk.MeterProvider([reader]),
            pools=[pool],
            monitor=monitor,
            balloon=nump.BalloonDriver(),
        )
        told = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        samples = scrape(pools=[pool], monitor=monitor, balloon=nump.BalloonDriver())
    by_name = {one.name: one for one in told}
    seen = 0
    for one in INSTRUMENTS.values():
        if one.kind == "histogram":
            buckets = by_name[f"{one.otel_name}_bucket"].data.data_points
            assert [point.attributes["le"] for point in buckets][-1] == "+Inf"
            continue
        name = one.name + "_info" * (one.kind == "info")
        mine = {labels for key, labels in samples if key == name}
        points = by_name[one.otel_name].data.data_points if one.otel_name in by_name else []
        theirs = {
            frozenset((key, str(value)) for key, value in point.attributes.items())
            for point in points
        }
        assert theirs == mine, one.name
        seen += len(points)
        if points:
            assert by_name[one.otel_name].unit == one.otel_unit
            assert hasattr(by_name[one.otel_name].data, "is_monotonic") is (one.kind == "counter")
    assert seen > 30
    retained = by_name["numapool.pool_retained"]
    assert (retained.unit, retained.data.data_points[0].value) == ("By", MIB)


def test_without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(nump.UnsupportedError, match=r"pip install 'numapool\[otel\]'"):
        otel.instrument()


def test_scrapes_of_many_threads_while_pools_come_and_go(node: int) -> None:
    needed("prometheus_client")
    collector = nump.MetricsCollector()
    failures: list[BaseException] = []
    ends = threading.Event()

    def scrape_on() -> None:
        try:
            last = 0.0
            while not ends.is_set():
                samples = read(collector)
                now = sum(
                    value
                    for (name, labels), value in samples.items()
                    if name == "numapool_pool_misses_total" and ("pool", "busy") in labels
                )
                assert now >= last
                last = now
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=scrape_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(60):
        with nump.BufferPool(name="busy") as pool:
            for _ in range(5):
                pool.acquire(64 << 10, node).close()
    ends.set()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_a_pool_keeps_no_longer_for_being_told(node: int) -> None:
    needed("prometheus_client")
    pool = nump.BufferPool()
    collector = nump.MetricsCollector(pools=[pool])
    assert any(name == "numapool_pool_in_use_bytes" for name, _ in read(collector))
    del pool
    gc.collect()
    assert not any(name == "numapool_pool_in_use_bytes" for name, _ in read(collector))


def test_without_prometheus_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "prometheus_client.core", raising=False)
    with pytest.raises(nump.UnsupportedError, match=r"pip install 'numapool\[prometheus\]'"):
        nump.MetricsCollector()


def test_registering_reads_nothing_and_importing_loads_nothing() -> None:
    needed("prometheus_client")
    code = """
        import sys
        import numapool as nump
        nump.BufferPool()
        assert "prometheus_client" not in sys.modules
        from prometheus_client import REGISTRY
        collector = nump.MetricsCollector()
        collector.collect = None
        REGISTRY.register(collector)
        print("ok")
    """
    assert child.check(code) == "ok\n"


def test_a_name_is_a_text() -> None:
    with pytest.raises(TypeError, match="name must be a str or None, not 7"):
        nump.BufferPool(name=7)  # type: ignore[arg-type]
    with nump.BufferPool(name='odd "name"\n\\') as pool:
        samples = scrape(pools=[pool])
        assert any(("pool", pool.name) in labels for _, labels in samples)
        assert repr(pool).startswith(f"<BufferPool {pool.name!r}: ")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_tells_its_own() -> None:
    needed("prometheus_client")
    code = """
        import os
        import numapool as nump
        from prometheus_client import CollectorRegistry, generate_latest
        pool = nump.BufferPool(name="here")
        buffer = pool.acquire(1 << 20)
        registry = CollectorRegistry()
        registry.register(nump.MetricsCollector())
        def misses():
            lines = generate_latest(registry).decode().splitlines()
            mine = (one for one in lines if one.startswith("numapool_pool_misses_total{"))
            return sum(float(one.split()[-1]) for one in mine)
        assert misses() == 1
        child = os.fork()
        if child == 0:
            pool.acquire(1 << 20)
            os._exit(int(misses() < 1))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print(misses())
    """
    assert child.check(code) == "1.0\n"

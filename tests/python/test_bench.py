"""What ``numapool.bench`` makes of rounds, of the machine's files and of two results."""

from __future__ import annotations

import dataclasses
import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from support import bench_results, sysfs_tree

from numapool.bench import BenchOptions, BenchReport, compare, load_report
from numapool.bench.caches import caches, largest_bytes, siblings, sum_bytes
from numapool.bench.clock import QUICK_S, Clock
from numapool.bench.conditions import cpu_ticks, quotas
from numapool.bench.limits import module_rates
from numapool.bench.rounds import Pace, figure_of, is_steady, repeat
from numapool.bench.run import cpu_name
from numapool.probes.machine import Machine

FOR_EVER = Pace(round_ns=1_000_000, most_s=60.0)


def machine(root: Path, files: dict[str, str]) -> Machine:
    for path, text in files.items():
        (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (root / path.lstrip("/")).write_text(text)
    return Machine(str(root))


class TestRounds:
    def test_equal_rounds_are_steady_at_once(self) -> None:
        asked: list[int] = []

        def sample(rounds: int) -> list[float]:
            asked.append(rounds)
            return [5.0] * rounds

        figure = repeat(sample, FOR_EVER)
        assert figure.steady
        assert figure.median == figure.lowest == figure.highest == 5.0
        assert sum(asked) == figure.rounds == 5

    def test_noisy_rounds_are_repeated_until_the_median_is_known(self) -> None:
        dice = random.Random(3)
        figure = repeat(lambda n: [dice.gauss(100, 8) for _ in range(n)], FOR_EVER)
        assert figure.steady
        assert figure.rounds > 20
        assert figure.median == pytest.approx(100, rel=0.05)

    def test_a_few_wild_rounds_do_not_keep_it_from_being_steady(self) -> None:
        assert is_steady([10.0, 10.0, 10.0, 10.01, 90.0, 10.0, 10.0])
        assert not is_steady([10.0, 10.0, 10.0, 10.0])  # too few to tell
        assert not is_steady([10.0, 20.0, 30.0, 40.0, 50.0])

    def test_time_that_is_up_ends_it(self) -> None:
        values = iter(range(1, 1000))
        figure = repeat(
            lambda n: [2.0 ** next(values) for _ in range(n)], Pace(round_ns=1, most_s=0)
        )
        assert not figure.steady
        assert figure.rounds == 5

    def test_a_figure_is_its_rounds(self) -> None:
        figure = figure_of([3.0, 1.0, 2.0])
        assert (figure.lowest, figure.median, figure.highest, figure.rounds) == (1, 2, 3, 3)


class TestClock:
    def test_a_quick_run_shares_its_time_and_then_takes_no_more(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 0.0
        monkeypatch.setattr("numapool.bench.clock.time.monotonic", lambda: now)
        shown: list[tuple[str, float, float]] = []
        clock = Clock(100, quick=True, progress=lambda *told: shown.append(told))
        pace = clock.take("first")
        assert pace is not None
        assert pace.most_s == pytest.approx(QUICK_S / 100)
        now = QUICK_S - 0.99
        pace = clock.take("second")
        assert pace is not None
        assert pace.most_s == pytest.approx(0.01)
        assert pace.round_ns >= 1_000_000
        now = QUICK_S
        assert clock.take("third") is None
        assert [what for what, _, _ in shown] == ["first", "second", "third"]
        assert [share for _, share, _ in shown] == [0.0, 0.01, 0.02]
        assert [left for _, _, left in shown] == pytest.approx([QUICK_S, 0.99, 0.0])
        assert clock.finish() == QUICK_S
        assert shown[-1] == ("done", 1.0, 0.0)

    def test_the_time_that_is_left_is_told_by_the_figures_so_far(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 0.0
        monkeypatch.setattr("numapool.bench.clock.time.monotonic", lambda: now)
        left: list[float] = []
        clock = Clock(10, quick=False, progress=lambda _, __, seconds: left.append(seconds))
        clock.take("first")
        now = 3.0
        clock.take("second")
        now = 4.0
        clock.take("third")
        assert left[1:] == [27.0, 16.0]

    def test_a_full_run_takes_its_time(self) -> None:
        clock = Clock(1, quick=False)
        assert [clock.take("x") for _ in range(3)].count(None) == 0


class TestMachine:
    def test_caches(self, tmp_path: Path) -> None:
        folder = "/sys/devices/system/cpu"
        files: dict[str, str] = {}
        for cpu in (0, 1):
            for index, level, kind, size, shared in (
                (0, 1, "Data", "32K", str(cpu)),
                (1, 1, "Instruction", "64K", str(cpu)),
                (2, 2, "Unified", "1M", str(cpu)),
                (3, 3, "Unified", "32768K", "0-1,8"),
            ):
                at = f"{folder}/cpu{cpu}/cache/index{index}"
                files |= {
                    f"{at}/level": f"{level}\n",
                    f"{at}/type": f"{kind}\n",
                    f"{at}/size": f"{size}\n",
                    f"{at}/shared_cpu_list": f"{shared}\n",
                }
        files[f"{folder}/cpu0/topology/thread_siblings_list"] = "0,8\n"
        found = caches(machine(tmp_path, files), (0, 1))
        assert [(one.level, one.size_bytes) for one in found] == [
            (1, 32 << 10),
            (1, 32 << 10),
            (2, 1 << 20),
            (2, 1 << 20),
            (3, 32 << 20),
        ]
        assert found[-1].cpus == (0, 1, 8)
        assert largest_bytes(found) == 32 << 20
        assert sum_bytes(found) == 34 << 20
        assert siblings(Machine(str(tmp_path)), 0) == (0, 8)
        assert siblings(Machine(str(tmp_path)), 1) == (1,)
        assert caches(Machine(str(tmp_path / "none")), (0,)) == ()
        assert largest_bytes(()) == sum_bytes(()) == 0

    def test_ticks_of_the_cpus_that_measure(self) -> None:
        stat = "cpu  9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 10 0 0 0 0 0 0 1 0 0\ncpu10 99\n"
        assert cpu_ticks(stat, frozenset({0, 1})) == (11, 2, 3, 4, 5, 6, 7, 9)
        assert cpu_ticks(stat, frozenset({7})) is None
        assert cpu_ticks("", frozenset({0})) is None

    def test_quotas_of_both_versions(self, tmp_path: Path) -> None:
        unified = machine(
            tmp_path / "v2",
            {
                "/proc/self/cgroup": "0::/a/b\n",
                "/proc/self/mountinfo": "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
                "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
                "/sys/fs/cgroup/a/cpu.max": "150000 100000\n",
                "/sys/fs/cgroup/a/cpu.stat": "usage_usec 5\nnr_throttled 7\n",
            },
        )
        assert list(quotas(unified)) == [("/sys/fs/cgroup/a", 1.5, 7)]
        old = machine(
            tmp_path / "v1",
            {
                "/proc/self/cgroup": "4:cpu,cpuacct:/x\n",
                "/proc/self/mountinfo": "1 0 0:1 / /cg rw - cgroup cgroup rw,cpu,cpuacct\n",
                "/cg/x/cpu.cfs_quota_us": "50000\n",
                "/cg/x/cpu.cfs_period_us": "100000\n",
                "/cg/cpu.cfs_quota_us": "-1\n",
                "/cg/cpu.cfs_period_us": "100000\n",
            },
        )
        assert list(quotas(old)) == [("/cg/x", 0.5, 0)]
        assert list(quotas(Machine(str(tmp_path / "none")))) == []

    def test_the_processor_by_name(self, tmp_path: Path) -> None:
        named = machine(tmp_path, {"/proc/cpuinfo": "processor : 0\nmodel name\t: Fast One\n"})
        assert cpu_name(named) == "Fast One"
        assert cpu_name(Machine(str(tmp_path / "none"))) is None

    def test_rates_of_memory_modules(self) -> None:
        """Two modules at 4800 MT/s, one rated 6400 but run at 0xFFFF -> extended, and no module."""

        def device(width: int, size: int, rated: int, run: int, extended: int = 0) -> bytes:
            body = bytearray(0x5C)
            body[0:4] = struct.pack("<BBH", 17, len(body), 1)
            struct.pack_into("<H", body, 0x0A, width)
            struct.pack_into("<H", body, 0x0C, size)
            struct.pack_into("<H", body, 0x15, rated)
            struct.pack_into("<H", body, 0x20, run)
            struct.pack_into("<I", body, 0x58, extended)
            return bytes(body) + b"DIMM A\0CHANNEL A\0\0"

        other = struct.pack("<BBH", 1, 8, 2) + b"\0\0\0\0" + b"\0\0"
        end = struct.pack("<BBH", 127, 4, 3) + b"\0\0"
        table = (
            other
            + device(64, 16384, 4800, 4800)
            + device(64, 16384, 4800, 0)
            + device(64, 16384, 6400, 0xFFFF, 70000)
            + device(64, 0, 4800, 4800)
            + device(0xFFFF, 16384, 4800, 4800)
            + end
        )
        assert module_rates(table) == [38.4e9, 38.4e9, 560e9]
        assert module_rates(b"") == []
        assert module_rates(table[:20]) == []
        for cut in range(len(table)):
            module_rates(table[:cut])  # no length of it is an error


class TestResults:
    @pytest.mark.parametrize("nodes", [1, 2, 8])
    def test_to_json_and_back(self, nodes: int) -> None:
        before = bench_results.report(nodes)
        assert BenchReport.from_dict(json.loads(json.dumps(before.to_dict()))) == before

    def test_what_is_no_json(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        for content in (b"", b"root:x:0:0\n", b"\xff", b"[" * 200_000):
            path.write_bytes(content)
            with pytest.raises(ValueError, match="it is not JSON") as error:
                load_report(path)
            assert str(error.value).startswith(f"{path}: not a result of numapool bench")

    @pytest.mark.parametrize(
        ("spoil", "says"),
        [
            (lambda d: d.clear(), "not a result of numapool bench: its schema is None"),
            (lambda d: d.update(schema="numapool-bench/0"), "not numapool-bench/1"),
            (lambda d: d.pop("matrices"), "the document has no 'matrices'"),
            (lambda d: d.update(matrices={}), "matrices must be a list"),
            (lambda d: d["matrices"][0].pop("cells"), r"matrices\[0\] has no 'cells'"),
            (
                lambda d: d["matrices"][0]["cells"][0]["figure"].update(median="fast"),
                r"matrices\[0\]\.cells\[0\]\.figure\.median is 'fast', not of type float",
            ),
            (lambda d: d.update(quick=1), "quick is 1, not of type bool"),
            (lambda d: d.update(size_bytes={"x": 1}), "size_bytes: invalid literal"),
            (lambda d: d.update(machine=[]), "machine must be an object"),
            (lambda d: d["loaded"].append(3), r"loaded\[\d\] must be an object"),
        ],
    )
    def test_what_is_no_result(self, tmp_path: Path, spoil: Any, says: str) -> None:
        document = json.loads(json.dumps(bench_results.report(1).to_dict()))
        spoil(document)
        path = tmp_path / "a.json"
        path.write_text(json.dumps(document))
        with pytest.raises(ValueError, match=says) as error:
            load_report(path)
        assert str(path) in str(error.value)

    def test_options(self) -> None:
        with pytest.raises(ValueError, match="no such section: 'speed'"):
            BenchOptions(sections=("speed",))
        with pytest.raises(ValueError, match="at least 1048576, not 5"):
            BenchOptions(size_bytes=5)
        assert BenchOptions(sections=("latency",)).asks("latency")
        assert not BenchOptions(sections=("latency",)).asks("loaded")


class TestCompare:
    def test_equal_results_are_the_same(self) -> None:
        found = compare(bench_results.report(2), bench_results.report(2))
        assert {one.verdict for one in found.changes} == {"same"}
        assert {one.gain for one in found.changes} == {1.0}
        assert found.only_before == found.only_after == found.differences == ()
        assert found.median_gain("latency") == 1.0
        assert found.median_gain("nothing") is None

    def test_a_faster_machine_is_faster_in_times_and_in_rates(self) -> None:
        slow, fast = bench_results.report(2), bench_results.report(2, faster=1.5)
        for before, after, gain, verdict in (
            (slow, fast, 1.5, "faster"),
            (fast, slow, 1 / 1.5, "slower"),
        ):
            found = compare(before, after)
            for section in ("latency", "read", "write", "copy", "triad", "loaded"):
                changes = [one for one in found.changes if one.section == section]
                assert changes
                assert all(one.gain == pytest.approx(gain) for one in changes)
                assert {one.verdict for one in changes} == {verdict}
            same = {one.verdict for one in found.changes if one.section == "allocators"}
            assert same == {"same"}

    def test_what_rounds_overlap_is_noise(self) -> None:
        before, after = bench_results.report(1), bench_results.report(1, faster=1.03)
        assert {one.verdict for one in compare(before, after).changes} == {"same"}
        wide = bench_results.figure(110.0, spread=0.3)
        cell = dataclasses.replace(before.matrices[0].cells[0], figure=wide)
        matrix = dataclasses.replace(before.matrices[0], cells=(cell,))
        noisy = dataclasses.replace(before, matrices=(matrix,))
        assert compare(before, noisy).changes[0].verdict == "same"

    def test_what_one_result_lacks_is_named(self) -> None:
        before, after = bench_results.report(2), bench_results.report(1, quick=True)
        found = compare(before, after)
        assert "latency: node 1 to 0" in found.only_before
        assert found.only_after == ()
        assert any(text.startswith("quick: False before") for text in found.differences)


def test_captured_machines_have_no_caches_to_trip_over(tmp_path: Path) -> None:
    root = sysfs_tree.write(tmp_path, sysfs_tree.machine("two_socket"))
    assert caches(Machine(str(root)), (0, 1)) == ()

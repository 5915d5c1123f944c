"""The harness itself: failures, kills and crashes are reported for the right test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from . import machines, try_numa
from .harness import initramfs, kernel, process, run
from .harness.errors import GuestError
from .harness.guest import Guest
from .harness.machine import Machine, Node
from .samples import misbehaving

_RUN_TIMEOUT_S = 500


def _run_sample(
    report: Path, *arguments: str, **environment: str
) -> dict[str, ElementTree.Element]:
    """Run the sample with a pytest of its own; the result elements by test function."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            *arguments,
        ],
        env={key: value for key, value in os.environ.items() if key != "CI"} | environment,
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        timeout=_RUN_TIMEOUT_S,
        check=False,
    )
    return {
        case.get("name", "").split("[")[0]: case
        for case in ElementTree.parse(report).iter("testcase")
    }


def _outcome(case: ElementTree.Element) -> tuple[str, str]:
    """("passed" | "failure" | "error" | "skipped", message with details)."""
    for kind in ("failure", "error", "skipped"):
        found = case.find(kind)
        if found is not None:
            return kind, f"{found.get('message')} {found.text} {case.findtext('system-out')}"
    return "passed", ""


@pytest.fixture(scope="module")
def misbehaving_results(
    boot: Callable[[Machine], Guest], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[str, str]]:
    boot(machines.TWO_EQUAL)  # skips where guests cannot run at all
    report = tmp_path_factory.mktemp("sample") / "report.xml"
    return {
        name: _outcome(case) for name, case in _run_sample(report, misbehaving.__file__).items()
    }


def test_pass_fail_and_skip_come_back(misbehaving_results: dict[str, tuple[str, str]]) -> None:
    assert misbehaving_results["test_passes"][0] == "passed"
    kind, text = misbehaving_results["test_skips"]
    assert kind == "skipped" and "a reason of its own" in text
    kind, text = misbehaving_results["test_fails"]
    assert kind == "failure" and "nothing like it" in text and "misbehaving.py" in text


def test_a_failed_test_leaves_nothing_to_the_next(
    misbehaving_results: dict[str, tuple[str, str]],
) -> None:
    assert misbehaving_results["test_runs_after_a_failure"][0] == "passed"


def test_killed_process_is_named_and_the_rest_still_runs(
    misbehaving_results: dict[str, tuple[str, str]],
) -> None:
    kind, text = misbehaving_results["test_is_killed"]
    assert kind == "failure" and "pytest ended with -9 while this test ran" in text
    assert misbehaving_results["test_runs_after_a_kill"][0] == "passed"


def test_kernel_crash_is_named_with_its_console(
    misbehaving_results: dict[str, tuple[str, str]],
) -> None:
    kind, text = misbehaving_results["test_crashes_the_kernel"]
    assert kind == "failure" and "while this test ran" in text and "sysrq triggered crash" in text
    kind, text = misbehaving_results["test_comes_too_late"]
    assert kind == "failure" and "the guest died" in text


@pytest.mark.parametrize(("ci", "expected"), [("", "skipped"), ("true", "failure")])
def test_missing_qemu_skips_but_fails_in_ci(ci: str, expected: str, tmp_path: Path) -> None:
    sample = f"{misbehaving.__file__}::test_passes"
    results = _run_sample(tmp_path / "report.xml", sample, PATH="/nowhere", CI=ci)
    kind, text = _outcome(results["test_passes"])
    assert kind == expected and "qemu-system-x86" in text


def test_guests_that_start_together_make_one_first_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (initramfs, kernel):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    with ThreadPoolExecutor(4) as threads:
        contents = [
            future.result()
            for future in [
                threads.submit(lambda: initramfs._init_binary().read_bytes()) for _ in range(4)
            ]
        ]
    assert contents[0].startswith(b"\x7fELF") and set(contents) == {contents[0]}


def test_a_guest_that_does_not_come_up_gets_a_second_boot(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    boots: list[Machine] = []

    def guest(machine: Machine) -> str:
        boots.append(machine)
        if len(boots) == 1:
            raise GuestError("the first one")
        return "up"

    monkeypatch.setattr(run, "Guest", guest)
    one = run.MachineRun(machines.TWO_EQUAL, [request.node])
    assert str(one._booted()) == "up" and one.first_boot == "the first one"
    boots.clear()
    one.stop()
    with pytest.raises(GuestError):
        one._booted()


class _Starved:
    """Says of the first ``slices`` that the guest waited all the time."""

    def __init__(self, slices: int) -> None:
        self.slices = slices
        self.asked = 0

    def waits_s(self) -> dict[str, float]:
        return {}

    def since(self, before: dict[str, float]) -> float:
        self.asked += 1
        return 1e9 if self.asked <= self.slices else 0.0


def test_time_that_a_guest_waits_for_a_processor_does_not_count() -> None:
    ours, theirs = socket.socketpair()
    starved = _Starved(slices=2)
    with theirs:
        link = process.AgentLink(ours, GuestError, starved)
        with pytest.raises(GuestError, match=r"said nothing .*: boot"):
            link.hello(0.02)
        link.close()
    assert starved.asked == 3


def test_waits_are_counted_by_thread() -> None:
    starvation = process.Starvation(os.getpid())
    before = starvation.waits_s()
    assert not before or str(os.getpid()) in before  # empty on kernels that do not count
    assert 0 <= starvation.since(before) < 3600


def test_guest_runs_programs_and_answers_qmp(boot: Callable[[Machine], Guest]) -> None:
    guest = boot(machines.TWO_EQUAL)
    assert guest.run(["cat", "/sys/devices/system/node/online"]) == "0-1"
    assert guest.qmp("query-status")["status"] == "running"
    (guest.share / "from-host").write_text("text")
    assert guest.run(["cat", "/run/share/from-host"]) == "text"


def test_failing_program_is_an_error_with_its_output(boot: Callable[[Machine], Guest]) -> None:
    with pytest.raises(Exception, match="No such file or directory"):
        boot(machines.TWO_EQUAL).run(["cat", "/no/such/file"])


def test_gaps_in_node_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="in order"):
        Machine(name="gap", cpu_count=1, nodes=(Node(node_id=1),))


class _Here:
    """Stands for a guest: processes run here."""

    release, boot_s = "6.1", 7.0

    def __init__(self, machine: Machine, share: Path) -> None:
        self.machine, self.share = machine, share

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(
        self, argv: list[str], *, environment: dict[str, str], directory: Path
    ) -> SimpleNamespace:
        done = subprocess.run(
            argv, env=environment, cwd=directory, stdout=subprocess.PIPE, text=True, check=False
        )
        lines = iter(done.stdout.splitlines())
        return SimpleNamespace(line=lambda _: next(lines, None), code=done.returncode)


def test_try_numa_runs_a_command_and_keeps_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    share = tmp_path / "share"
    share.mkdir()
    booted: list[_Here] = []

    def boot(machine: Machine) -> _Here:
        booted.append(_Here(machine, share))
        return booted[0]

    monkeypatch.setattr(try_numa, "Guest", boot)
    monkeypatch.setattr("tempfile.mkdtemp", lambda prefix: str(tmp_path / prefix))
    code = f"import pathlib, sys; pathlib.Path({str(share)!r}, 'x').write_text('y'); sys.exit(3)"
    options = ["--nodes", "3", "--memory-only", "1", "--directory", str(tmp_path)]
    assert try_numa.main([*options, "--", "python3", "-c", f"print(1); {code}"]) == 3
    shown = capsys.readouterr().out
    assert "\n1\n" in shown and "ended with 3" in shown
    assert (tmp_path / "try-numa-" / "x").read_text() == "y"
    machine = booted[0].machine
    assert [node.cpus for node in machine.nodes] == [(0,), (1,), (2,), ()]
    assert machine.distances is not None and machine.distances[0] == (10, 21, 21, 30)
    for wrong in (["--nodes", "0"], ["--memory", "10"], ["--nodes", "65"]):
        with pytest.raises(SystemExit) as refused:
            try_numa.main(wrong)
        assert refused.value.code == 2

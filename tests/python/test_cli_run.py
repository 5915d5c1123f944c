"""``numapool run``: what a program is bound to, and that it is the same as if it were not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import affinity, child

from numapool.base.errors import NodeNotFoundError, UnsupportedError
from numapool.base.units import ids_of
from numapool.cli import run_options
from numapool.cli.run import _binding
from numapool.machine import node_set
from numapool.machine.topology import NumaTopology
from numapool.processes import binder, binding, ranks
from numapool.processes.binder import MachineNode
from numapool.processes.binding import Binding

RUN = [sys.executable, "-m", "numapool", "run"]
FIRST, *OTHERS = sorted(os.sched_getaffinity(0))


def run(
    *arguments: str, env: dict[str, str] | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [*RUN, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **(env or {})},
        **options,
    )


@pytest.fixture
def two_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[int]]]:
    """A machine whose node 0 has our first CPU, node 1 the others, node 2 memory alone."""
    core = affinity.split_machine(tmp_path)._core
    ids = [node.node_id for node in core.nodes()]
    machine = [
        MachineNode(
            node.node_id,
            node.cpus,
            node.node_id in core.usable(),
            node.node_id in core.default_nodes(),
            dict(zip(ids, row, strict=True)),
        )
        for node, row in zip(core.nodes(), core.distances(), strict=True)
    ]
    asked: list[tuple[str, list[int]]] = []
    monkeypatch.setattr(binder, "nodes", lambda: machine)
    monkeypatch.setattr(binder, "memory_order", lambda node: list(core.memory_order(node)))
    monkeypatch.setattr(binder, "set_policy", lambda mode, nodes: asked.append((mode, nodes)))
    for name in ranks.LOCAL_RANKS:
        monkeypatch.delenv(name, raising=False)
    return asked


def bound(*arguments: str) -> Binding:
    return _binding(run_options.read([*arguments, "true"]))


@pytest.mark.parametrize(
    ("arguments", "cpus", "policy"),
    [
        (["--node", "0"], [FIRST], ("preferred", [0])),
        (["--node=1"], OTHERS, ("preferred", [1])),
        (["--node", "0-1"], [FIRST, *OTHERS], ("preferred-many", [0, 1])),
        (["--node", "all"], [FIRST, *OTHERS], ("preferred-many", [0, 1])),
        (["--node", "0", "--strict"], [FIRST], ("bind", [0])),
        (["--node", "0", "--memory", "1"], [FIRST], ("preferred", [1])),
        (["--node", "0", "--interleave", "all"], [FIRST], ("interleave", [0, 1, 2])),
        (["--cpus", str(FIRST)], [FIRST], None),
        (["--cpus", str(FIRST), "--node", "1"], [FIRST], ("preferred", [1])),
        (["--memory", "0,2"], None, ("preferred-many", [0, 2])),
        (["--memory", "0,2", "--strict"], None, ("bind", [0, 2])),
        (["--interleave", "0-1"], None, ("interleave", [0, 1])),
        (["--weighted-interleave", "0-1"], None, ("weighted-interleave", [0, 1])),
    ],
)
def test_options_say_which_cpus_and_which_policy(
    two_nodes: object, arguments: list[str], cpus: list[int] | None, policy: object
) -> None:
    found = bound(*arguments)
    assert (None if found.cpus is None else sorted(found.cpus)) == cpus
    assert (None if found.mode is None else (found.mode, found.memory_nodes)) == policy
    assert found.notes == []


@pytest.mark.parametrize(
    ("arguments", "cpus", "policy"),
    [
        (["--node", "cpu"], [FIRST, *OTHERS], ("preferred-many", [0, 1])),
        (["--node", "!0,2"], OTHERS, ("preferred", [1])),
        (["--node", "0", "--memory", "memory-only"], [FIRST], ("preferred", [2])),
        (["--node", "+1", "--interleave", "0,memory-only"], OTHERS, ("interleave", [0, 2])),
        (["--node", "socket:1"], OTHERS, ("preferred", [1])),
    ],
)
def test_nodes_may_be_words(
    two_nodes: object,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    cpus: list[int],
    policy: object,
) -> None:
    machine = NumaTopology.from_sysfs(tmp_path)
    for cpu in (FIRST, *OTHERS):
        place = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{int(cpu != FIRST)}\n")
    monkeypatch.setattr(node_set, "current_topology", lambda: machine)
    found = bound(*arguments)
    assert sorted(found.cpus or ()) == cpus
    assert (found.mode, found.memory_nodes) == policy
    with pytest.raises(run_options.UsageError, match=r"a socket that is there .there are 0-1"):
        bound("--node", "socket:7")
    with pytest.raises(run_options.UsageError, match="'none' names no node"):
        bound("--node", "none")


def test_a_node_without_cpus_runs_on_the_nearest_and_says_so(two_nodes: object) -> None:
    found = bound("--node", "2")
    assert sorted(found.cpus or ()) == OTHERS
    assert found.memory_nodes == [2]
    assert "node 2 has no CPUs" in found.notes[0] and "node 1, the nearest" in found.notes[0]


@pytest.mark.parametrize("name", ranks.LOCAL_RANKS)
def test_ranks_take_the_nodes_in_turns(
    two_nodes: object, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for rank, node in ((0, 0), (1, 1), (2, 0), (5, 1)):
        monkeypatch.setenv(name, str(rank))
        assert bound("--by-rank").nodes == [node]
        assert bound("--by-rank", "--node", "1-2").nodes == [node + 1]


@pytest.mark.parametrize("rank", [None, "", "-1", "one", "1.0", "²"])
def test_a_rank_that_nobody_told(
    two_nodes: object, monkeypatch: pytest.MonkeyPatch, rank: str | None
) -> None:
    if rank is not None:
        monkeypatch.setenv("SLURM_LOCALID", rank)
    with pytest.raises(run_options.UsageError, match="SLURM_LOCALID"):
        bound("--by-rank")


def test_an_older_kernel_prefers_one_of_several_nodes(
    two_nodes: list[tuple[str, list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_many(mode: str, nodes: list[int]) -> None:
        two_nodes.append((mode, nodes))
        if mode == "preferred-many":
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(binder, "set_policy", refuse_many)
    found = bound("--memory", "0-1")
    assert binding.bind_this_thread(found) == []
    assert two_nodes == [("preferred-many", [0, 1]), ("preferred", [0])]
    assert found.memory_nodes == [0]
    assert "5.15" in found.notes[0]


def test_one_thread_of_each_core(
    two_nodes: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(binding, "_SIBLINGS", f"{tmp_path}/cpu{{}}")
    monkeypatch.setattr(binding, "usable_cpus", lambda: frozenset(range(6)))
    for cpu in range(6):
        (tmp_path / f"cpu{cpu}").write_text(f"{cpu % 3},{cpu % 3 + 3}\n")
    assert sorted(bound("--no-smt").cpus or ()) == [0, 1, 2]
    assert sorted(bound("--no-smt", "--cpus", "3-5").cpus or ()) == [3, 4, 5]
    (tmp_path / "cpu1").unlink()
    assert "share a core" in bound("--no-smt").notes[0]


@pytest.mark.parametrize(
    ("text", "ids"),
    [("0", [0]), ("0-2,7", [0, 1, 2, 7]), ("3,1,1-2", [1, 2, 3]), (" 1 , 2", [1, 2])],
)
def test_lists_of_ids(text: str, ids: list[int]) -> None:
    assert ids_of(text) == ids


@pytest.mark.parametrize(
    "text", ["", ",", "1,", "a", "-1", "1-", "2-1", "0-99999999", "1.5", "²", "!1"]
)
def test_texts_that_are_no_ids(text: str) -> None:
    with pytest.raises(ValueError, match=r"id or a range|invalid range"):
        ids_of(text)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Say where to run"),
        (["true"], "Say where to run"),
        (["--strict", "true"], "'--strict' needs"),
        (["--nod", "0"], "No such option: --nod"),
        (["--node"], "requires an argument"),
        (["--node", "0"], "Missing argument 'COMMAND'"),
        (["--node", "0", "--"], "Missing argument 'COMMAND'"),
        (["--report=1", "true"], "does not take a value"),
        (["--node", "x", "true"], "Invalid value for '--node': 'x'"),
        (["--node", "near:/nowhere", "true"], "'near:/nowhere': [Errno 2]"),
        (["--node", "1023,cpu", "true"], "there is no node 1023"),
        (["--node", "0", "--near", "/", "true"], "do not go together"),
        (["--memory", "0", "--interleave", "0", "true"], "do not go together"),
        (["--interleave", "0", "--node", "0", "--strict", "x"], "interleaving"),
        (["--by-rank", "--cpus", "0", "x"], "chooses a node"),
        (["--node", "1023", "true"], "there is no node 1023"),
        (["--cpus", "65535", "true"], "none of the CPUs 65535"),
        (["--near", "/nowhere/at/all", "true"], "/nowhere/at/all"),
    ],
)
def test_wrong_usage(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    from numapool.cli.run import start

    assert start(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert says in shown.err.splitlines()[-1]
    assert shown.err.startswith("Usage: numapool run [OPTIONS]")


def test_help_fits_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    from numapool.cli.run import start

    assert start(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown for name, _, _ in run_options.OPTIONS)
    assert max(map(len, shown.splitlines())) <= 80


def test_a_dry_run_starts_nothing(node: int) -> None:
    done = run("--node", str(node), "--dry-run", "sh", "-c", "echo no")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"memory: preferred from node {node}\n" in done.stdout
    assert done.stdout.endswith("command: sh -c 'echo no'\n")


PROGRAM = "import os, sys; print(os.getpid(), os.sched_getaffinity(0)); sys.exit(7)"


def test_the_program_has_our_id_its_cpus_and_its_own_status() -> None:
    command = [*RUN, "--cpus", str(FIRST), "--", sys.executable, "-c", PROGRAM]
    with child.running(command, stdout=subprocess.PIPE, text=True) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 7
    assert output == f"{process.pid} {{{FIRST}}}\n"


def test_the_program_prefers_the_nodes_memory_from_its_first_page(node: int) -> None:
    done = run("--node", str(node), "--report", "cat", "/proc/self/numa_maps")
    assert done.returncode == 0
    assert f"preferred from node {node}" in done.stderr
    policies = {line.split()[1] for line in done.stdout.splitlines()}
    assert policies == {f"prefer:{node}"}


def test_strict_says_what_it_risks(node: int) -> None:
    done = run("--node", str(node), "--strict", "cat", "/proc/self/numa_maps")
    assert f"bind:{node}" in done.stdout
    assert done.stderr.count("\n") == 1 and "kills this program" in done.stderr


def test_signals_end_the_program_itself(node: int) -> None:
    command = [*RUN, "--node", str(node), "sh", "-c", "echo; exec sleep 60"]
    with child.running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert process.returncode == -signal.SIGTERM


def test_statuses_of_shells(node: int, tmp_path: Path) -> None:
    def status(*command: str) -> tuple[int, str]:
        done = run("--node", str(node), *command, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
        assert done.stdout == ""
        return done.returncode, done.stderr

    code, said = status("no-such-program")
    assert (code, said) == (127, "numapool: no-such-program: not found\n")
    assert status(str(tmp_path / "nowhere"))[0] == 127
    (tmp_path / "text").write_text("exit 5\n")
    assert status("./text", "x")[0] == 127
    code, said = status(str(tmp_path / "text"))
    assert (code, said) == (126, f"numapool: {tmp_path}/text: Permission denied\n")
    (tmp_path / "text").chmod(0o755)
    assert status("text") == (5, "")  # without #!, by the shell, as execvp(3) has it


def test_the_program_gets_signals_and_environment_as_they_were(node: int) -> None:
    script = "grep SigIgn /proc/self/status; env | grep -c LC_CTYPE"
    bare = {name: value for name, value in os.environ.items() if name[:3] not in ("LC_", "LAN")}
    command = [*RUN, "--node", str(node), "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=bare, check=False)
    plain = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, env=bare, check=False
    )
    assert done.stdout == plain.stdout
    assert done.stdout.endswith("\n0\n")


@pytest.mark.parametrize("call", ["set_mempolicy", "sched_setaffinity"])
def test_what_is_refused_costs_a_line_and_the_program_runs(call: str, node: int) -> None:
    code = f"""
        from support import seccomp
        seccomp.refuse([{call!r}], 1)
        import sys
        sys.argv = ["numapool", "run", "--node", "{node}", "--", "echo", "started"]
        from numapool.cli.command import main
        main()
    """
    done = child.run(code)
    assert (done.returncode, done.stdout) == (0, "started\n")
    what = "memory is" if call == "set_mempolicy" else "CPUs are"
    assert done.stderr.startswith(f"numapool: {what} not bound: ")
    assert done.stderr.count("\n") == 1


def test_little_is_loaded_before_the_program() -> None:
    code = """
        import os, sys
        before = set(sys.modules)
        os.execve = lambda *_: (print(*set(sys.modules) - before, flush=True), os._exit(0))
        sys.argv = ["numapool", "run", "--cpus", "%d", "true"]
        from numapool.cli.command import main
        main()
    """
    loaded = set(child.check(code % FIRST).split())
    assert "numapool.processes.exec" in loaded
    assert not loaded & {
        "numapool._core", "argparse", "ctypes", "dataclasses", "enum", "numpy", "pathlib", "re",
        "signal", "subprocess", "typer", "typing", "warnings", "rich", "click",
    }  # fmt: skip


def test_other_systems_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    with pytest.raises(UnsupportedError, match="start /node"):
        binding.require_linux()


def test_nodes_that_do_not_exist_are_named(two_nodes: object) -> None:
    with pytest.raises(NodeNotFoundError, match="no node 3; this machine has: 0, 1, 2"):
        bound("--node", "1,3")


def test_the_commands_that_the_documentation_shows_are_understood() -> None:
    docs = Path(__file__).parents[2] / "docs"
    if not docs.is_dir():
        pytest.skip("the documentation is not beside the tests")
    text = "".join((docs / name).read_text() for name in ("processes.md", "howto/from-numactl.md"))
    shown = re.findall(r"numapool run (-[^`\n#;|]*)", text)
    assert len(shown) > 12
    for command in shown:
        words = command.rstrip().rstrip(",").split()
        run_options.read([*words, "true"])

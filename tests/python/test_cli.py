"""The command line itself: how it is called, how it ends, and what it costs to ask for help."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import sysfs_tree
from support.child import run as run_code
from support.child import running
from support.sysfs_tree import NODES

import numapool as nump
from numapool.cli import run_completion
from numapool.cli.format import cpus_text, ids_text, rate_text, size_text
from numapool.processes import binder

# As most users have it: with PYTHONUNBUFFERED nothing is left to be written at the end.
BUFFERED = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | {"COLUMNS": "80"}
MODULE = [sys.executable, "-m", "numapool"]
SCRIPT = [str(Path(sys.executable).with_name("numapool"))]


def run(
    *arguments: str, command: list[str] = MODULE, **options: object
) -> subprocess.CompletedProcess[str]:
    streams: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [*command, *arguments],
        text=True,
        timeout=120,
        check=False,
        cwd="/",
        env=BUFFERED,
        **streams,
    )


@pytest.mark.parametrize("command", [MODULE, SCRIPT], ids=["module", "script"])
def test_version(command: list[str]) -> None:
    done = run("--version", command=command)
    assert (done.returncode, done.stderr) == (0, "")
    python = ".".join(map(str, sys.version_info[:3]))
    assert done.stdout == f"numapool {nump.__version__} (Python {python})\n"


@pytest.mark.parametrize("command", [MODULE, SCRIPT], ids=["module", "script"])
def test_help(command: list[str]) -> None:
    done = run("--help", command=command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: numapool [OPTIONS] COMMAND")
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert listed[-13:] == [
        "info", "topo", "doctor", "device", "demo", "watch", "bench",
        "ps", "migrate", "metrics", "report", "capture", "run",
    ]  # fmt: skip
    for name, options in (
        ("info", ("--sysfs", "--json")),
        ("topo", ("--plot", "--sysfs", "--json")),
        ("metrics", ("--dashboard", "--rules")),
        ("report", ("--bench", "--load")),
        ("doctor", ("--json",)),
        ("device", ("--sysfs", "--json")),
        ("demo", ("--size", "--json")),
        ("watch", ("--interval", "--updates", "--json")),
        ("ps", ("--all", "--watch", "--interval", "--updates", "--json")),
        ("migrate", ("--to", "--from", "--json")),
        ("run", ("--node NODES", "--strict", "--by-rank", "--dry-run")),
        ("bench", ("--quick", "--only", "--size", "--plot", "--load", "--compare", "--json")),
    ):
        shown = run(name, "--help", command=command).stdout
        assert shown.startswith(f"Usage: numapool {name} ")
        assert all(f"  {option} " in shown for option in options)
        assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["inform"], "No such command 'inform'"),
        (["info", "--jsn"], "No such option: --jsn"),
        (["info", "--sysfs"], "--sysfs"),
        (["topo", "--plot", "x.pdf"], "must end in .svg or .png"),
        (["doctor", "--jsn"], "No such option: --jsn"),
        (["device"], "Missing argument"),
        (["demo", "--size", "0"], "--size"),
        (["demo", "--size", "much"], "--size"),
        (["migrate", "1"], "--to"),
        (["capture"], "Missing argument"),
        (["run", "--nod", "0", "true"], "No such option: --nod"),
        (["run", "--node", "0"], "Missing argument 'COMMAND'"),
    ],
)
def test_wrong_usage(arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell: str) -> None:
    def completed(*words: str, task: str = "complete") -> str:
        line = " ".join(["numapool", *words])
        asked = {
            "_NUMAPOOL_COMPLETE": f"{task}_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words)),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        return subprocess.run(
            MODULE, env={**BUFFERED, **asked}, capture_output=True, text=True, check=True
        ).stdout

    assert "migrate" in completed("mi")
    assert "--watch" in completed("ps", "--w")
    assert {"--near", "--no-smt", "--node"} <= {
        word.strip('"') for word in re.findall(r'"?--[a-z-]+"?', completed("run", "--n"))
    }
    if shell == "bash":  # the others ask the same
        assert "all" in completed("run", "--strict", "--node", "")
        assert "--no-smt" not in completed("run", "--node", "0", "ls", "--n")
    assert f"_NUMAPOOL_COMPLETE=complete_{shell}" in completed(task="source")


def test_lists_of_nodes_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [binder.MachineNode(node, (), True, True, {}) for node in (0, 1, 10)]
    monkeypatch.setattr(binder, "nodes", lambda: made)
    assert run_completion._nodes("") == ["0", "1", "10", "all"]
    assert run_completion._nodes("1") == ["1", "10"]
    assert run_completion._nodes("0,") == ["0,0", "0,1", "0,10"]


def test_no_command_shows_help() -> None:
    done = run()
    assert done.returncode == 2
    assert "Commands:" in done.stdout + done.stderr


@pytest.mark.parametrize("json_too", [[], ["--json"]], ids=["screen", "json"])
def test_errors_are_one_line_on_standard_error(json_too: list[str], tmp_path: Path) -> None:
    def error_of(root: Path) -> str:
        done = run("info", "--sysfs", str(root), *json_too)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("numapool: ")
        assert done.stderr.endswith("\n")
        assert done.stderr[:-1].isprintable()
        return done.stderr

    assert "No such file or directory" in error_of(tmp_path / "nowhere")
    assert "holds none of" in error_of(tmp_path)
    odd = tmp_path / "a\nb\x1b[31m"
    odd.mkdir()
    assert f"{tmp_path}/a\\nb\\x1b[31m" in error_of(odd)


PRINTING = [
    ["info"],
    ["info", "--json"],
    ["topo"],
    ["topo", "--json"],
    ["doctor"],
    ["doctor", "--json"],
    ["device", "/", "lo"],
    ["device", "--json", "/"],
    ["--help"],
    ["info", "--help"],
    ["--version"],
    ["demo", "--size", "1"],
    ["demo", "--size", "1", "--json"],
    ["ps"],
    ["ps", "--json"],
]


@contextlib.contextmanager
def pipe_without_reader() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_reader_that_has_left_is_no_error(arguments: list[str]) -> None:
    with pipe_without_reader() as writer:
        done = run(*arguments, stdout=writer)
    assert (done.returncode, done.stderr) == (1, "")


LEAVES_ONE_LETTER = """
import sys, numapool.machine.topology
from numapool.cli.command import main
numapool.machine.topology.NumaTopology.detect = lambda: sys.exit(sys.stdout.write("x") - 1)
sys.argv = ["numapool", "info"]
main()
"""


def test_what_a_command_leaves_in_the_buffer_is_no_error_either() -> None:
    command = [sys.executable, "-c", LEAVES_ONE_LETTER]
    assert run(command=command).stdout == "x"
    with pipe_without_reader() as writer:
        done = run(command=command, stdout=writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_full_disk_is_an_error_at_the_end_too() -> None:
    with Path("/dev/full").open("w") as full:
        done = run(command=[sys.executable, "-c", LEAVES_ONE_LETTER], stdout=full)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    """In the middle of more than a pipe holds."""
    root = sysfs_tree.write(tmp_path, {f"{NODES}/online": "0", f"{NODES}/node0/cpulist": "0-65535"})
    with running(
        [*MODULE, "info", "--json", "--sysfs", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=BUFFERED,
    ) as child:
        assert child.stdout
        assert child.stderr
        assert child.stdout.read(1) == b"{"
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 1


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_no_standard_output_at_all(arguments: list[str]) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *MODULE, *arguments],
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
        env=BUFFERED,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_full_disk_is_an_error(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "numapool: [Errno 28] No space left on device\n"


INTERRUPTED = """
    import signal, sys
    sys.argv = ["numapool", "topo"]
    def interrupt(*_):
        signal.raise_signal(signal.SIGINT)
        print("went on")
    class Loading:
        def find_spec(self, name, *_):
            if name == "typer":
                interrupt()
    {when}
    from numapool.cli.command import main
    main()
"""


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_it_says_what_to_install(missing: str) -> None:
    code = f"""
        import sys
        sys.modules["{missing}"] = None
        sys.argv = ["numapool", "topo"]
        from numapool.cli.command import main
        main()
    """
    done = run_code(code)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"numapool: the command line needs {missing}, which is not installed: "
        "pip install 'numapool[cli]'\n"
    )


def test_another_missing_module_is_no_matter_of_the_extra() -> None:
    code = """
        import sys
        sys.modules["numapool.cli.app"] = None
        sys.argv = ["numapool", "topo"]
        from numapool.cli.command import main
        main()
    """
    done = run_code(code)
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize(
    "when",
    [
        "sys.meta_path.insert(0, Loading())",
        "import numapool.machine.topology as t; t.NumaTopology.detect = interrupt",
    ],
    ids=["loading", "working"],
)
def test_an_interrupt_is_quiet(when: str) -> None:
    done = run_code(INTERRUPTED.format(when=when))
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (130, "", "")


def test_memory_that_is_not_to_be_had_is_an_error() -> None:
    code = """
        import sys, numapool.machine.topology as t
        from numapool.cli.command import main
        def fail(): raise MemoryError
        t.NumaTopology.detect = fail
        sys.argv = ["numapool", "info", "--json"]
        main()
    """
    done = run_code(code)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "numapool: MemoryError\n")


def test_help_loads_nothing_that_a_command_needs() -> None:
    code = """
        import sys
        from numapool.cli.app import app
        app(["--help"], standalone_mode=False)
        heavy = {"numpy", "rich.console", "rich.table", "matplotlib", "json.tool"}
        print(sorted(heavy & set(sys.modules)), file=sys.stderr)
    """
    done = run_code(code)
    assert (done.returncode, done.stderr.strip()) == (0, "[]")


def test_a_failure_in_the_demo_is_told_below_the_table() -> None:
    code = """
        import sys
        from numapool.memory.allocator import NumaAllocator
        from numapool.cli.command import main
        def fail(*_): raise MemoryError("no room [for it]")
        NumaAllocator.allocate = fail
        sys.argv = ["numapool", "demo", "--size", "1"]
        main()
    """
    done = run_code(code)
    assert (done.returncode, done.stderr) == (1, "")
    assert "failed, see below" in done.stdout
    assert done.stdout.rstrip().endswith(": no room [for it]")


def test_demo() -> None:
    done = run("demo", "--size", "16")
    assert (done.returncode, done.stderr) == (0, "")
    assert "right" in done.stdout
    document = json.loads(run("demo", "--size", "16", "--json").stdout)
    assert document["nodes"]
    for node in document["nodes"]:
        assert node["zero_copy"] is node["sum_is_right"] is True
        assert node["error"] is None
        assert sum(node["bytes_by_node"].values()) == node["size_bytes"] == 16 << 20


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1048575, "1 MiB"),
        (256 << 20, "256 MiB"),
        (1 << 60, "1024 PiB"),
    ],
)
def test_size_text(size: int, text: str) -> None:
    assert size_text(size) == text


def test_ids_text() -> None:
    assert ids_text([5, 0, 1, 2]) == "0-2,5"
    assert ids_text([]) == "-"
    assert ids_text([0, 2, 4, 6], "; ") == "0; 2; 4; 6"


@pytest.mark.parametrize(
    ("cpus", "text"),
    [
        ([], "-"),
        ([7], "7"),
        ([0, 1], "0-1"),
        ([0, 2, 4], "0, 2, 4"),
        ([0, 2, 4, 6], "0-6:2"),
        ([6, 4, 2, 0, 2, 4], "0-6:2"),
        ([1, 9, 17, 25, 26, 27, 28], "1-25:8, 26-28"),
        ([0, 2, 4, 5, 6], "0, 2, 4-6"),
        ([*range(0, 96, 2), 97], "0-94:2, 97"),
    ],
)
def test_cpus_text(cpus: list[int], text: str) -> None:
    assert cpus_text(cpus) == text


def test_rate_text() -> None:
    assert rate_text(30720 << 20) == "32.2 GB/s"
    assert rate_text(204800 << 20) == "215 GB/s"

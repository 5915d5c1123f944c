"""Screens of every command on odd terminals: narrow ones, of no size, of ASCII; pipes and files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import bench_results, sysfs_tree
from support.child import running
from support.sysfs_tree import NODES
from typer.testing import CliRunner

from numapool.cli.app import app
from numapool.cli.screen import Listing, make_console

MODULE = [sys.executable, "-m", "numapool"]
SCREENS = (
    ["info"],
    ["topo"],
    ["doctor"],
    ["device", "/sys"],
    ["demo", "--size", "1"],
    ["watch", "--updates", "1", "--interval", "0.05"],
    ["bench", "--load", "RESULT"],
    ["bench", "--compare", "RESULT", "RESULT"],
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bench") / "result.json"
    path.write_text(json.dumps(bench_results.report(2).to_dict()))
    return str(path)


def with_result(arguments: list[str], result: str) -> list[str]:
    return [result if one == "RESULT" else one for one in arguments]


def screen(arguments: list[str], result: str = "", **environment: str) -> str:
    done = CliRunner().invoke(app, with_result(arguments, result), env=environment)
    assert done.exit_code == 0, done.output
    return done.stdout


def encoded_screen(arguments: list[str], encoding: str, columns: int) -> bytes:
    """Run a command of its own whose terminal has that encoding."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": str(columns)}
    done = subprocess.run([*MODULE, *arguments], capture_output=True, timeout=60, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def letters(text: str) -> str:
    """Drop blanks and lines, so that what goes on in the next line is whole again."""
    return re.sub(r"[\s│─╭╮╰╯├└|+-]", "", text)


@pytest.mark.parametrize("columns", ["0", "-1", "", "many", "²", "9" * 5000, "1"])
@pytest.mark.parametrize("arguments", SCREENS[:2], ids=" ".join)
def test_a_size_that_says_nothing(arguments: list[str], columns: str) -> None:
    shown = screen(arguments, COLUMNS=columns, LINES="0")
    assert "1 node" in shown or "nodes" in shown or "NUMA node" in shown
    assert max(map(len, shown.splitlines())) <= 1000


@pytest.mark.parametrize("arguments", SCREENS, ids=" ".join)
def test_no_command_is_silent_where_the_size_is_0(arguments: list[str], result: str) -> None:
    assert len(screen(arguments, result, COLUMNS="0").splitlines()) > 1


@pytest.mark.parametrize("arguments", SCREENS, ids=" ".join)
def test_the_width_is_kept_and_nothing_is_cut_off(arguments: list[str], result: str) -> None:
    for width in (40, 60, 80):
        shown = screen(arguments, result, COLUMNS=str(width))
        assert max(map(len, shown.splitlines())) <= width
        assert "…" not in shown


@pytest.mark.parametrize("name", ["cxl", "eight_sockets", "cpuset", "two_socket"])
@pytest.mark.parametrize("command", ["info", "topo"])
def test_a_narrow_screen_says_all_that_a_wide_one_does(
    command: str, name: str, tmp_path: Path
) -> None:
    root = str(sysfs_tree.write(tmp_path, sysfs_tree.machine(name)))
    wide = screen([command, "--sysfs", root], COLUMNS="200").partition("\nDistances")[0]
    narrow = letters(screen([command, "--sysfs", root], COLUMNS="40"))
    missing = [word for word in wide.split() if letters(word) and letters(word) not in narrow]
    assert [word for word in missing if not set(word) <= {"█", "·"}] == []


def test_each_node_is_named_with_its_cpus_on_a_narrow_screen(tmp_path: Path) -> None:
    files = {f"{NODES}/online": "0-1"}
    for node, listed in enumerate(["0-15,32-47", "16-31,48-63"]):
        files[f"{NODES}/node{node}/cpulist"] = listed
        files[f"{NODES}/node{node}/meminfo"] = f"Node {node} MemTotal: 1048576 kB\n"
    root = str(sysfs_tree.write(tmp_path, files))
    shown = screen(["info", "--sysfs", root], COLUMNS="40")
    assert re.search(r"^node +0 *\n +memory +1 GiB *$", shown, re.MULTILINE), shown
    assert re.search(r"^node +1 *$", shown, re.MULTILINE)
    assert "0-15, 32-47" in shown


def test_watch_names_the_nodes_on_a_narrow_screen() -> None:
    shown = screen(SCREENS[5], COLUMNS="40")
    assert re.search(r"^node +0 *$", shown, re.MULTILINE), shown
    assert re.search(r"^  available +[0-9.]+ [KMGT]iB", shown, re.MULTILINE), shown


@pytest.mark.parametrize("arguments", [["--help"], *SCREENS], ids=" ".join)
def test_a_terminal_of_ascii(arguments: list[str], result: str) -> None:
    """With 40 columns every table stacks; a failure of a character would be a traceback."""
    shown = encoded_screen(with_result(arguments, result), "ascii", 80)
    assert shown.isascii()
    assert b"\\u" not in shown, "characters are replaced by others, not escaped"


def test_a_character_that_the_terminal_lacks_is_escaped(tmp_path: Path) -> None:
    """A path's, where nothing else can stand for it."""
    path = tmp_path / "données"
    path.write_text("")
    for encoding, shown in (("ascii", b"donn\\xe9es"), ("latin-1", b"donn\xe9es")):
        assert shown in encoded_screen(["device", str(path)], encoding, 999)


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["view", "json"])
def test_watch_writes_each_update_into_a_pipe_at_once(options: list[str]) -> None:
    with running(
        [*MODULE, "watch", "--interval", "0.05", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        seen = 0
        for line in process.stdout:
            seen += line.startswith(("memory pressure ", '{"time"'))
            if seen == 3:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert "\x1b" not in rest


def test_a_dumb_terminal_gets_no_escapes() -> None:
    shown = screen(SCREENS[5], TERM="dumb", FORCE_COLOR="1", COLUMNS="80")
    assert "memory pressure" in shown
    assert "\x1b" not in shown


def test_updates_are_apart() -> None:
    shown = screen(["watch", "--updates", "2", "--interval", "0.05"], COLUMNS="80")
    first, second = shown.split("No event yet.\n")[:2]
    assert first.startswith("memory pressure")
    assert second.startswith("\nmemory pressure")


def test_a_listing_stacks_exactly_where_it_must() -> None:
    table = Listing("one", "two", left=(0, 1), folds={1: 10})
    table.add_row("first", "[bold]a value that goes on and on", end_section=True)
    table.add_row("second", "")
    console = make_console()

    def lines(width: int) -> list[str]:
        with console.capture() as captured:
            console.print(table, width=width)
        return [line.rstrip() for line in captured.get().splitlines()]

    assert lines(18)[0] == "one     two"
    assert lines(17) == [
        "one    first",
        "  two  a value",
        "       that goes",
        "       on and on",
        "one    second",
    ]

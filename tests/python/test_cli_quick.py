"""``numapool info`` without typer and rich: the same bytes, and what goes the usual way."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from support import sysfs_tree

import numapool as nump
from numapool.cli import quick
from numapool.cli.info_view import show
from numapool.cli.listing import Listing, Pairs, Plain, StyledLine
from numapool.cli.plain import DoesNotFit, PlainScreen, without_styles

MACHINES = sorted(path.stem for path in (Path(__file__).parents[1] / "fixtures/sysfs").glob("*"))


def by_rich(what: object, width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width)
    if isinstance(what, nump.NumaTopology):
        show(console, what, live=False)
    else:
        console.print(what)
    return out.getvalue()


def plainly(what: object, width: int, capsys: pytest.CaptureFixture[str]) -> str | None:
    screen = PlainScreen(width)
    try:
        if isinstance(what, nump.NumaTopology):
            show(screen, what, live=False)
        else:
            screen.print(what)  # type: ignore[arg-type]
    except DoesNotFit:
        return None
    capsys.readouterr()
    screen.write()
    return capsys.readouterr().out


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_looks_the_same(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a wide screen as good as everything is plain."""
    topology = nump.NumaTopology.from_sysfs(sysfs_tree.write(tmp_path, sysfs_tree.machine(name)))
    for width in (40, 80, 300):
        plain = plainly(topology, width, capsys)
        assert plain is None or plain == by_rich(topology, width)
    assert plain is not None


def test_what_is_shown_looks_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    listing = Listing("node", "memory", "what", left=(0, 2), folds={2: 5})
    listing.add_row("[bold]1[/bold]", "[red]10 GiB", "some words")
    listing.add_row("22", "", "")
    pairs, three = Pairs(), Pairs()
    pairs.add_row("name", "a [value]")
    pairs.add_row("", "b")
    three.add_row("0-3", "cxl", "what [it] says")
    right = Pairs(right=True)
    right.add_row("1", "far away")
    right.add_row("10", "near")
    line = StyledLine("  |")
    line.append(" 10 ", style="black on green3")
    shown = (listing, pairs, three, right, line, Plain("a [bold]b"), "[bold]x[/bold] y", "")
    for one in shown:
        assert plainly(one, 80, capsys) == by_rich(one, 80)
    lines = ("twelve chars", "just six [bold]letters[/bold] by seven in a line", "a " * 40 + "b")
    for one in lines:
        for width in (8, 9, 10):
            assert plainly(one, width, capsys) == by_rich(one, width)
    for one in (listing, three, Plain("a [bold]b"), "twelvechars", "far       apart"):
        assert plainly(one, 8, capsys) is None
    for other in ("[link=x]y", "a [ b", "größer", 5):
        assert plainly(other, 80, capsys) is None
    assert without_styles("[bold yellow]Not read") == "Not read"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--jso"],
        ["--json", "--json"],
        ["--json=1"],
        ["--sysfs"],
        ["--sysfs", "--json"],
        ["--sysfs="],
        ["--sysfs", "/a", "--sysfs", "/b"],
        ["more"],
        ["--", "--json"],
    ],
)
def test_what_is_left_to_typer(arguments: list[str]) -> None:
    assert not quick.answered(["info", *arguments])
    assert not quick.answered(["doctor"])
    assert not quick.answered([])


#: The command as it starts, which says whether typer or rich were loaded.
STARTED = """
import atexit, sys
sys.argv = ["numapool", *sys.argv[2:]]
@atexit.register
def tell():
    heavy = [name for name in ("typer", "rich", "click", "numpy") if name in sys.modules]
    sys.stderr.write("loaded: " + " ".join(heavy))
if HOW == "usual":
    import numapool.cli.quick as quick
    quick.answered = lambda arguments: False
from numapool.cli.command import main
main()
"""


def started(how: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    special = ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "UNICODE_VERSION")
    return subprocess.run(
        [sys.executable, "-c", f"HOW = {how!r}\n{STARTED}", "-", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name not in special},
    )


def test_both_ways_print_the_same_and_one_is_light(tmp_path: Path) -> None:
    root = str(sysfs_tree.write(tmp_path, sysfs_tree.machine("eight_sockets")))
    for arguments in (["info", "--sysfs", root], ["info", f"--sysfs={root}", "--json"]):
        light, usual = started("light", *arguments), started("usual", *arguments)
        assert (light.stdout, light.returncode) == (usual.stdout, 0)
        assert light.stderr == "loaded: "
        assert "typer" in usual.stderr
    missing = [started(how, "info", "--sysfs", "/nowhere") for how in ("light", "usual")]
    words = [one.stderr.partition("loaded: ")[0] for one in missing]
    assert words[0] == words[1] != ""
    assert [one.returncode for one in missing] == [1, 1]


def test_what_is_too_wide_is_shown_where_rich_is_not_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the command needs its extra must not depend on the machine."""
    root = str(sysfs_tree.write(tmp_path, sysfs_tree.machine("eight_sockets")))
    monkeypatch.setenv("COLUMNS", "40")
    assert not quick.answered(["info", "--sysfs", root])
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(quick, "_has_rich", lambda: False)
    assert quick.answered(["info", "--sysfs", root])
    assert capsys.readouterr().out == by_rich(nump.NumaTopology.from_sysfs(root), 1000)

"""``numapool doctor``: a screen of 80 columns, one JSON document, a status for scripts."""

from __future__ import annotations

import json
import subprocess

import pytest
from support import child
from typer.testing import CliRunner

import numapool as nump
from numapool.cli.app import app

RUN = """
import sys
from support import seccomp
from numapool.cli.command import main
seccomp.refuse({calls!r}, 1)
sys.argv = ["numapool", "doctor", *{arguments!r}]
main()
"""


def refused(calls: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return child.run(RUN.format(calls=calls, arguments=list(arguments)))


def fake(*found: nump.Capability) -> tuple[nump.Capability, ...]:
    return found


BIND = nump.Capability(name="bind", available=True, detail="a page was put on node 0")
VERIFY = nump.Capability(name="verify", available=True, detail="move_pages saw a page")
LONG = nump.Capability(
    name="hugetlb pages of 1 GiB",
    available=None,
    detail="x" * 90 + " [red]no markup[/red]",
    remedy="echo 1 > /sys/devices/system/node/nodeX/hugepages/hugepages-1048576kB/nr_hugepages",
)


def doctor(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["doctor", *arguments], env={"COLUMNS": "80"})
    assert done.stderr == ""
    return done.exit_code, done.stdout


def test_the_screen_of_this_machine() -> None:
    status, screen = doctor()
    assert max(map(len, screen.splitlines())) <= 80
    found = nump.capabilities()
    missing = [one.name for one in found if one.essential and not one.available]
    assert status == (1 if missing else 0)
    for one in found:
        (row,) = [line for line in screen.splitlines() if line.startswith(f"{one.name}  ")]
        word = {True: "yes", False: "no", None: "unknown"}[one.available]
        assert row.removeprefix(one.name).split()[0] == word


def test_json_is_one_document_that_says_the_same() -> None:
    status, text = doctor("--json")
    document = json.loads(text)
    assert document["version"] == nump.__version__
    assert document["ok"] is (status == 0)
    now = {one.name: one for one in nump.capabilities()}
    assert [one["name"] for one in document["capabilities"]] == list(now)
    for one in document["capabilities"]:
        assert one["available"] == now[one["name"]].available
        assert set(one) == {"name", "available", "essential", "detail", "remedy"}


def test_long_evidence_folds_and_remedies_can_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numapool.cli.doctor.capabilities", lambda: fake(BIND, VERIFY, LONG))
    status, screen = doctor()
    assert status == 0
    assert max(map(len, screen.splitlines())) <= 80
    assert "[red]no markup[/red]" in screen
    assert LONG.remedy.split()[-1] in screen, "a path is not broken"
    assert "place memory on a node and verify it" in screen


@pytest.mark.parametrize("available", [False, None])
@pytest.mark.parametrize("name", ["bind", "verify"])
def test_what_the_main_job_needs_decides_the_status(
    monkeypatch: pytest.MonkeyPatch, name: str, available: bool | None
) -> None:
    missing = nump.Capability(name=name, available=available, detail="refused")
    other = VERIFY if name == "bind" else BIND
    monkeypatch.setattr("numapool.cli.doctor.capabilities", lambda: fake(other, missing, LONG))
    status, screen = doctor()
    assert status == 1
    assert f"Needed to place memory, but missing: {name}." in screen
    status, text = doctor("--json")
    assert status == 1
    assert json.loads(text)["missing"] == [name]


def test_a_container_that_refuses_mbind() -> None:
    done = refused(["mbind"], "--json")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["missing"] == ["bind"]


def test_a_container_that_refuses_the_rest_is_good_enough() -> None:
    done = refused(["move_pages", "set_mempolicy", "sched_setaffinity", "mlock"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "place memory on a node and verify it" in done.stdout

"""``numapool report``: one file without a server, for desktops, phones, the dark, and paper."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from support.bench_results import report as bench_report
from support.html_reader import Reader
from support.waiting import within_seconds
from typer.testing import CliRunner

import numapool as nump
from numapool.cli import report_page
from numapool.cli.app import app

#: Chromium takes some seconds: NUMAPOOL_TEST_CHROMIUM=1 runs it.
REAL = os.environ.get("NUMAPOOL_TEST_CHROMIUM") == "1"
SECTIONS = ["machine", "allows", "pressure", "bench", "processes", "pools"]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A report with everything in it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    saved = tmp_path / "bench.json"
    saved.write_text(json.dumps(bench_report(2).to_dict()))
    file = tmp_path / "here.html"
    with nump.publish_pools(0.01), nump.BufferPool(name="<b>ours</b>") as pool:
        pool.acquire("1MiB").close()
        assert within_seconds(lambda: "ours" in "".join(_published(tmp_path)))
        done = CliRunner().invoke(app, ["report", str(file), "--load", str(saved)])
    assert (done.exit_code, done.stdout) == (0, f"wrote {file}\n")
    return file.read_text(encoding="utf-8")


def _published(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.glob("*/*.json")]


@pytest.mark.thread_unsafe(reason="publishes the pools of the whole process")
def test_a_report_is_one_file_with_every_section(page: str) -> None:
    read = Reader(page)
    tags = [tag for tag, _ in read.seen]
    assert [attrs["id"] for tag, attrs in read.seen if tag == "section"] == SECTIONS
    links = [attrs["href"] for tag, attrs in read.seen if tag == "a"]
    assert links == [f"#{name}" for name in SECTIONS]
    # Nothing is fetched, nothing runs.
    assert not {"script", "link", "img", "iframe"} & set(tags)
    assert not re.search(r'(?:src|href)="(?!#)(?!http://www\.w3\.org)|url\((?!#)|@import', page)
    assert 'name="viewport"' in page
    for media in ("prefers-color-scheme: dark", "max-width: 46em", "@media print"):
        assert media in page
    for words in ("Latency, ns", "<b>ours</b> of", "verify", "usable here", "available"):
        assert words in read.words
    assert str(os.getpid()) in read.words


def test_a_part_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError("no <list> of processes")

    monkeypatch.setattr(report_page, "_processes", fails)
    monkeypatch.setattr(report_page, "_picture", lambda _: "")
    read = Reader(report_page.page(None))
    assert "This could not be found out: no <list> of processes" in read.words
    assert "bench" not in [attrs.get("id") for tag, attrs in read.seen if tag == "section"]


def test_wrong_usage(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    for arguments, status in (
        (["machine.txt"], 2),
        ([str(tmp_path / "none" / "x.html")], 2),
        ([str(tmp_path / "x.html"), "--bench", "--load", str(bad)], 2),
        ([str(tmp_path / "x.html"), "--load", str(bad)], 1),
    ):
        assert CliRunner().invoke(app, ["report", *arguments]).exit_code == status
    assert not (tmp_path / "x.html").exists()


@pytest.mark.skipif(not REAL, reason="NUMAPOOL_TEST_CHROMIUM=1 runs Chromium")
@pytest.mark.thread_unsafe(reason="publishes the pools of the whole process")
@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_screen(page: str, width: int, tmp_path: Path) -> None:
    """A browser lays it out; what does not fit scrolls in a box of its own."""
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe id="f" width="{width}" height="800" srcdoc="{html.escape(page)}"></iframe>'
        '<p id="told"></p><script>f.onload = () => {'
        " const page = f.contentDocument.documentElement;"
        " told.textContent = `wide ${page.scrollWidth} of ${page.clientWidth}`; }</script>"
    )
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    said = subprocess.check_output([*command, frame.as_uri()], text=True, timeout=120)
    found = re.search(r"wide (\d+) of (\d+)", said)
    assert found is not None
    assert int(found[1]) <= int(found[2])

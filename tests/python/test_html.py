"""What notebooks show: every result as HTML, escaped, with colours for light and dark."""

from __future__ import annotations

import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any, Protocol

import pytest
from support.bench_results import report
from support.html_reader import Reader

import numapool as nump
from numapool.base import html
from numapool.bench.notebook import notebook_progress
from numapool.probes.capability import Capabilities
from numapool.testing import fake_topology

SLY = "<script>alert('a')</script> & \"b\""


class Shown(Protocol):
    def _repr_html_(self) -> str: ...


def capability(name: str, available: bool | None, remedy: str = "") -> nump.Capability:
    return nump.Capability(name=name, available=available, detail=SLY, remedy=remedy)


def results() -> dict[str, Shown]:
    with nump.BufferPool() as pool:
        pool.acquire("1MiB").close()
        pool.acquire("1MiB").close()
        statistics = pool.statistics()
    return {
        "topology": nump.current_topology(),
        "many nodes": fake_topology(70),
        "placement": nump.Placement(
            bytes_by_node={0: 3 << 20, 1: 1 << 20},
            not_resident_bytes=4096,
            page_size_bytes=4096,
            method=SLY,
        ),
        "nothing": nump.Placement(page_size_bytes=4096, method="unknown"),
        "pool": statistics,
        "capability": capability("bind", True),
        "capabilities": Capabilities((capability(SLY, False, SLY), capability("x", None))),
        "process": nump.process_placement(),
        "bench": report(2),
    }


def test_every_result_is_html_in_notebooks() -> None:
    for name, one in results().items():
        text = one._repr_html_()
        read = Reader(text)
        assert read.seen[0] == ("div", {"class": "numapool", "style": "color:inherit"}), name
        assert {tag for tag, _ in read.seen} <= {
            *("div", "table", "caption", "thead", "tbody", "tr", "th", "td", "span", "strong", "br")
        }
        # Legible on any ground: no colour but the text's own, and grounds that let it through.
        assert not re.search(r"#[0-9a-f]{3,6}\b(?!;)|(?<!-)color:(?!inherit)", text), name
        for ground in re.findall(r"background:([^;\"]+)", text):
            assert ground in ("none", "currentColor") or re.fullmatch(
                r"rgba\(\d+,\d+,\d+,0?\.\d+\)", ground
            )


def test_figures_are_there() -> None:
    shown = {name: Reader(one._repr_html_()).words for name, one in results().items()}
    assert "3 MiB" in shown["placement"] and "74.9%" in shown["placement"]
    assert "Placement of 0 bytes" in shown["nothing"] or "Placement of 0 B" in shown["nothing"]
    assert "50%" in shown["pool"]
    assert "✗ no" in shown["capabilities"] and "? unknown" in shown["capabilities"]
    assert "✓ yes" in shown["capability"]
    assert "70 nodes" in shown["many nodes"] and "Distances" not in shown["many nodes"]
    assert "Distances" in Reader(fake_topology(3)._repr_html_()).words
    for title in ("Latency, ns", "Read bandwidth, GB/s", "Sizes of pages", "Allocators"):
        assert title in shown["bench"]
    assert SLY in shown["capabilities"]  # as text


def test_capabilities_are_a_tuple_as_before() -> None:
    found = nump.capabilities()
    assert isinstance(found, tuple)
    assert found == tuple(found)
    assert {one.name for one in found} >= {"bind", "verify"}


def test_text_is_escaped_everywhere() -> None:
    parts = (
        html.table((SLY,), [(SLY,)], caption=SLY),
        html.facts([(SLY, SLY)]),
        html.note(SLY),
        html.strong(SLY),
        html.table(("",), [(html.ground(SLY, 0.5),)]),
        html.fragment(SLY, title=SLY),
    )
    for part in parts:
        assert "<script" not in part and "alert(&#x27;a&#x27;)" in part
    assert html.escaped(html.Html("<b>")) == "<b>"


@pytest.mark.parametrize("share", [-1, 0, 0.5, 1, 7])
def test_shares_beyond_a_bar_fill_it(share: float) -> None:
    width = float(re.findall(r";width:([\d.]+)%", html.bar(share))[0])
    assert width == 100 * min(max(share, 0), 1)
    assert "rgba(" in html.table(("",), [(html.ground("x", share),)])


@pytest.mark.thread_unsafe(reason="replaces a module")
def test_a_notebook_shows_how_far_a_run_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    handle = SimpleNamespace(update=shown.append)
    display: Any = ModuleType("IPython.display")
    display.HTML = str

    def show(first: str, *, display_id: bool) -> SimpleNamespace:
        assert display_id
        shown.append(first)
        return handle

    display.display = show
    kernel: list[object] = [None]
    ipython: Any = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=kernel[0])
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert notebook_progress() is None  # in a terminal
    kernel[0] = object()
    progress = notebook_progress()
    assert progress is not None
    progress("latency <0>", 0.25, 75)
    progress("done", 1.0, 0)
    assert len(shown) == 3
    assert "25%, 1:15 left" in shown[1] and "&lt;0&gt;" in shown[1]
    assert all(Reader(one).seen for one in shown)
    monkeypatch.delitem(sys.modules, "IPython")
    assert notebook_progress() is None

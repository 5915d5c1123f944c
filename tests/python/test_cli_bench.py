"""``numapool bench``: measuring small, its screens, its JSON, its pictures, and what it refuses."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from support import bench_results
from support.child import check, running

import numapool as nump
from numapool import _core

BENCH = [sys.executable, "-m", "numapool", "bench"]
ENVIRONMENT = {**os.environ, "COLUMNS": "80"}
DOCS = Path(__file__).parents[2] / "docs" / "bench.md"
MIB = 1 << 20
CACHES = [f"cache_{lines.name.lower()}" for lines in _core.BenchLines]
if not _core.bench_can_flush():
    CACHES.remove("cache_clean")
RATES = ("read", "write", "copy", "triad", "mix")
MATRICES = {**dict.fromkeys(("latency", *CACHES), "ns"), **dict.fromkeys(RATES, "bytes/s")}


def run(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*BENCH, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=ENVIRONMENT,
    )
    assert done.returncode == expect, done.stderr
    assert "Traceback" not in done.stderr
    return done


def saved(folder: Path, name: str, nodes: int = 2, **changes: Any) -> str:
    path = folder / name
    path.write_text(json.dumps(bench_results.report(nodes, **changes).to_dict()))
    return str(path)


def png_size(path: Path) -> tuple[int, int]:
    """Read width and height of a PNG (its header, RFC 2083)."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(content) > 10_000
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def svg_texts(path: Path) -> set[str]:
    root = ElementTree.parse(path).getroot()
    return {"".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The document of a quick run over little memory and a file, and its picture."""
    folder = tmp_path_factory.mktemp("bench")
    file, picture = folder / "file", folder / "out.svg"
    file.write_bytes(os.urandom(8 * MIB))
    done = run("--quick", "--size", "8", "--json", "--plot", str(picture), str(file))
    (folder / "out.json").write_text(done.stdout)
    assert done.stderr == f"numapool: drawn to {picture}\n"
    return json.loads(done.stdout), folder


def figures_in(part: Any) -> list[dict[str, Any]]:
    """Find every figure in a document."""
    if isinstance(part, list):
        return [one for item in part for one in figures_in(item)]
    if not isinstance(part, dict):
        return []
    own = [part] if "median" in part else []
    return own + [one for item in part.values() for one in figures_in(item)]


def keys_in(part: Any) -> set[str]:
    if isinstance(part, list):
        return {key for item in part for key in keys_in(item)}
    if not isinstance(part, dict):
        return set()
    return {k for k in part if not k.isdigit()} | {k for v in part.values() for k in keys_in(v)}


class TestMeasuring:
    def test_every_cell_is_there_and_its_place_verified(
        self, measured: tuple[dict[str, Any], Path]
    ) -> None:
        document, _ = measured
        assert document["schema"] == "numapool-bench/1"
        assert document["version"] == nump.__version__
        topology = nump.NumaTopology.detect()
        usable = sorted(topology.nearest(topology.nodes[0].node_id))
        assert document["targets"] == usable
        assert {m["name"]: m["unit"] for m in document["matrices"]} == MATRICES
        for matrix in document["matrices"]:
            pairs = [(cell["source"], cell["target"]) for cell in matrix["cells"]]
            every = [(s, t) for s in document["sources"] for t in document["targets"]]
            # From cache to cache takes two cores of the node.
            assert pairs == every or (matrix["name"] in CACHES and set(pairs) < set(every))
            for cell in matrix["cells"]:
                assert cell["verified"] is cell["stayed"] is True
                assert cell["measured_bytes"] == cell["bytes_on_target"] == 8 * MIB
                assert cell["method"] in ("move_pages", "get_mempolicy", "numa_maps")
        assert document["size_bytes"] == {str(node): 8 * MIB for node in usable}

    def test_figures_are_sound(self, measured: tuple[dict[str, Any], Path]) -> None:
        document, _ = measured
        figures = figures_in(document)
        assert len(figures) > 15
        for figure in figures:
            assert 0 < figure["lowest"] <= figure["median"] <= figure["highest"]
            assert figure["rounds"] >= 2
            assert isinstance(figure["steady"], bool)
        by_name = {
            m["name"]: m["cells"][0]["figure"]["median"] for m in document["matrices"] if m["cells"]
        }
        assert 0.2 < by_name["latency"] < 5000
        assert all(0.2 < by_name.get(name, 1) < 50_000 for name in CACHES)
        assert all(1e7 < by_name[name] < 1e13 for name in RATES)

    def test_reach(self, measured: tuple[dict[str, Any], Path]) -> None:
        document, _ = measured
        base = [one for one in document["reach"] if one["kind"] == "base"]
        assert [one["lines"] for one in base] == [16, 256]
        assert {one["page_bytes"] for one in base} == {os.sysconf("SC_PAGESIZE")}
        assert all(one["verified"] for one in base)
        assert all(0.2 < one["latency_ns"]["median"] < 5000 for one in document["reach"])

    def test_pages_allocators_and_the_device(self, measured: tuple[dict[str, Any], Path]) -> None:
        document, folder = measured
        base = document["pages"][0]
        assert (base["kind"], base["page_bytes"]) == ("base", os.sysconf("SC_PAGESIZE"))
        assert base["verified"]
        assert base["reason"] is None
        times = {
            one["name"]: one["whole_ns"]["median"]
            for one in document["allocations"]
            if one["size_bytes"] == MIB
        }
        assert {"np.empty", "allocate", "pool"} <= set(times)
        assert times["pool"] < times["allocate"]
        assert all(one["bytes_on_node"] == one["size_bytes"] for one in document["allocations"])
        (read, *_) = document["devices"]
        assert read["path"] == str(folder / "file")
        assert read["verified"]
        assert 0 <= read["direct_share"] <= 1
        assert read["direct_share"] == 1 or "device" in {w["kind"] for w in document["warnings"]}

    def test_it_says_that_so_little_memory_fits_a_cache(
        self, measured: tuple[dict[str, Any], Path]
    ) -> None:
        document, _ = measured
        largest = max((c["size_bytes"] for c in document["machine"]["caches"]), default=0)
        warned = any(warning["kind"] == "caches" for warning in document["warnings"])
        assert warned == (4 * largest > 8 * MIB)

    def test_the_schema_is_documented(self, measured: tuple[dict[str, Any], Path]) -> None:
        document, _ = measured
        text = DOCS.read_text()
        assert document["machine"]["topology"]["nodes"]
        own = {name: one for name, one in document.items() if name != "machine"}
        own["machine"] = {**document["machine"], "topology": None}
        missing = {key for key in keys_in(own) if f"`{key}`" not in text}
        assert not missing
        for kind in {warning["kind"] for warning in document["warnings"]}:
            assert f"`{kind}`" in text

    def test_the_result_can_be_shown_again_and_compared_with_itself(
        self, measured: tuple[dict[str, Any], Path]
    ) -> None:
        document, folder = measured
        path = str(folder / "out.json")
        screen = run("--load", path).stdout
        assert "idle latency" in screen or "Idle latency" in screen
        assert max(map(len, screen.splitlines())) <= 80
        assert json.loads(run("--load", path, "--json").stdout) == document
        same = json.loads(run("--compare", path, path, "--json").stdout)
        assert {change["gain"] for change in same["changes"]} == {1.0}

    def test_its_picture(self, measured: tuple[dict[str, Any], Path]) -> None:
        _, folder = measured
        texts = svg_texts(folder / "out.svg")
        assert {"Latency by page size", "First use of memory", "Reading from devices"} <= texts

    def test_one_section_alone(self) -> None:
        document = json.loads(run("--only", "latency", "--size", "4", "--quick", "--json").stdout)
        assert [matrix["name"] for matrix in document["matrices"]] == ["latency"]
        assert document["pages"] == document["allocations"] == document["loaded"] == []

    def test_progress_on_a_screen_and_nothing_of_it_in_the_document(self) -> None:
        leader, follower = pty.openpty()
        with running(
            [*BENCH, "--only", "latency", "--size", "4", "--quick", "--json"],
            stdout=subprocess.PIPE,
            stderr=follower,
            env={**ENVIRONMENT, "TERM": "xterm"},
        ) as process:
            os.close(follower)
            assert process.stdout is not None
            document = json.loads(process.stdout.read())
        shown = os.read(leader, 1 << 20).decode()
        os.close(leader)
        assert process.returncode == 0
        assert document["matrices"]
        assert re.search(r" 0 % +0:\d\d left", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown))
        assert "latency, node 0 to" in shown

    def test_quick_is_quick(self, measured: tuple[dict[str, Any], Path]) -> None:
        """What it takes with the memory that it chooses itself, benchmarks measure."""
        document, _ = measured
        assert document["quick"]
        # More than its 13 s is let pass: other tests may run beside it.
        assert document["took_s"] < 40


class TestScreens:
    @pytest.mark.parametrize("nodes", [1, 2, 4, 8])
    def test_all_of_it_fits_eighty_columns(self, tmp_path: Path, nodes: int) -> None:
        screen = run("--load", saved(tmp_path, "a.json", nodes)).stdout
        assert max(map(len, screen.splitlines())) <= 80
        assert f"Example Processor 9000, {nodes} node" in screen
        assert "8 memory modules (SMBIOS)" in screen
        assert "none are reserved" in screen
        assert re.search(r"^numapool pool +64 MiB +141 µs +80\.0 ns +1\.00x +100%$", screen, re.M)
        assert "automatic balancing: AutoNUMA is on" in screen

    def test_a_heat_table(self, tmp_path: Path) -> None:
        report = bench_results.report(4)
        lines = run("--load", saved(tmp_path, "a.json", 4)).stdout.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("Idle latency, ns"))
        assert lines[at + 1].split() == ["│", "0", "1", "2", "3"]
        shown = [line.split()[2:] for line in lines[at + 2 : at + 6]]
        matrix = report.matrix("latency")
        assert matrix is not None
        for source, row in enumerate(shown):
            for target, text in enumerate(row):
                cell = matrix.cell(source, target)
                assert cell is not None
                assert float(text.rstrip("~?")) == pytest.approx(cell.figure.median, rel=0.01)
        assert shown[0][1].endswith("~")
        at = next(i for i, line in enumerate(lines) if line.startswith("Triad"))
        assert lines[at + 3].split()[2].endswith("?")
        assert lines[at + 5].split()[-1] == "-"

    def test_the_best_is_green_and_the_worst_red(self) -> None:
        code = """
            from rich.console import Console
            from support import bench_results
            from numapool.cli.bench_view import heat
            report = bench_results.report(4)
            for name in ("latency", "read"):
                matrix = report.matrix(name)
                print(heat(matrix, matrix.cell(0, 0).figure.median),
                      heat(matrix, matrix.cell(0, 3).figure.median), sep=";")
            same = bench_results.report(1).matrix("latency")
            print(heat(same, same.cells[0].figure.median))
        """
        environment = str(Path(__file__).parent)
        shown = check(f"import sys; sys.path.insert(0, {environment!r})\n" + _dedented(code))
        green, red = "black on green3", "black on indian_red"
        assert shown.splitlines() == [f"{green};{red}", f"{green};{red}", green]

    def test_comparing(self, tmp_path: Path) -> None:
        slow = saved(tmp_path, "slow.json", 1)
        fast = saved(tmp_path, "fast.json", 1, faster=1.5)
        screen = run("--compare", slow, fast).stdout
        assert max(map(len, screen.splitlines())) <= 80
        assert re.search(r"^read +node 0 to 0 +139 GB/s +208 GB/s +1\.50x +faster *$", screen, re.M)
        assert re.search(r"Median gain: latency 1\.50x, cache_modified 1\.50x", screen)
        screen = run("--compare", fast, slow).stdout
        assert re.search(r"^latency +node 0 to 0 .* slower *$", screen, re.M)
        big = run("--compare", saved(tmp_path, "8.json", 8), fast).stdout
        assert "only in the first: latency: node 0 to 1" in big
        document = json.loads(run("--compare", slow, fast, "--json").stdout)
        assert document["schema"] == "numapool-bench-compare/1"
        assert {"section", "what", "unit", "before", "after", "gain", "verdict"} == set(
            document["changes"][0]
        )
        text = DOCS.read_text()
        assert not {key for key in keys_in(document) if f"`{key}`" not in text}


def _dedented(code: str) -> str:
    return "\n".join(line[12:] for line in code.splitlines())


class TestPictures:
    @pytest.mark.parametrize("nodes", [1, 4, 8])
    def test_png(self, tmp_path: Path, nodes: int) -> None:
        path = tmp_path / "out.png"
        run("--load", saved(tmp_path, "a.json", nodes), "--plot", str(path))
        width, height = png_size(path)
        assert 800 < width < 4000
        assert 800 < height < 5000

    def test_svg_has_every_figure_as_text(self, tmp_path: Path) -> None:
        path = tmp_path / "out.SVG"
        run("--load", saved(tmp_path, "a.json", 2), "--plot", str(path))
        texts = svg_texts(path)
        assert {"Idle latency, ns", "Read bandwidth, GB/s", "Latency under load"} <= texts
        assert {"node 0 to 0", "node 0 to 1", "load, GB/s", "latency, ns"} <= texts
        matrix = bench_results.report(2).matrix("read")
        assert matrix is not None
        for cell in matrix.cells:
            assert any(
                re.fullmatch(r"[\d.]+", text)
                and float(text) == pytest.approx(cell.figure.median / 1e9, rel=0.01)
                for text in texts
            )
        assert "66.7?" in texts

    def test_what_cannot_be_drawn_is_shown_all_the_same(self, tmp_path: Path) -> None:
        empty = {
            "matrices": (),
            "loaded": (),
            "pages": (),
            "allocations": (),
            "devices": (),
            "reach": (),
        }
        path = saved(tmp_path, "empty.json", 1, **empty)
        done = run("--load", path, "--json", "--plot", str(tmp_path / "x.svg"), expect=1)
        assert json.loads(done.stdout)["matrices"] == []
        assert done.stderr.startswith("numapool: no picture: ")
        done = run("--load", saved(tmp_path, "a.json", 1), "--plot", str(tmp_path / "x.svg"))
        assert "idle latency" in done.stdout

    def test_without_matplotlib(self, tmp_path: Path) -> None:
        code = f"""
            import importlib.util, sys
            real = importlib.util.find_spec
            importlib.util.find_spec = lambda n, *a: None if n == "matplotlib" else real(n, *a)
            from numapool.cli.command import main
            sys.argv = ["numapool", "bench", "--plot", {str(tmp_path / "x.png")!r}]
            main()
        """
        done = subprocess.run(
            [sys.executable, "-c", _dedented(code)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert done.stdout == ""
        assert "needs matplotlib, which is not installed: pip install" in done.stderr
        assert "numapool[plot]" in done.stderr


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--size", "0"], "--size"),
            (["--only", "speed"], "there are latency, bandwidth"),
            (["--only", "device"], "device needs a file or a device"),
            (["--plot", "out.pdf"], ".png or .svg"),
            (["--plot", "/nowhere/else/out.png"], "/nowhere/else is not a folder"),
            (["--compare", "a.json"], "--compare"),
            (["--compare", "a.json", "b.json", "--quick"], "can be combined with --json only"),
            (["--load", "a.json", "--quick"], "can be combined with --plot and --json only"),
            (["--jsn"], "No such option"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_wrong_usage(self, arguments: list[str], says: str) -> None:
        done = run(*arguments, expect=2)
        assert done.stdout == ""
        assert says in re.sub(r"\s+", " ", done.stderr)

    @pytest.mark.parametrize("option", ["--load", "--compare"])
    def test_files_that_hold_no_result(self, tmp_path: Path, option: str) -> None:
        good = saved(tmp_path, "good.json", 1)
        bad = tmp_path / "bad.json"
        for text, says in (
            (None, "No such file or directory"),
            (
                "{",
                "not JSON at line 1, column 2; use a file that numapool bench --json has printed",
            ),
            ("[]", "its schema is None"),
            ('{"schema": "numapool-bench/1"}', "the document has no 'version'"),
        ):
            if text is not None:
                bad.write_text(text)
            done = run(option, str(bad), *([good] if option == "--compare" else []), expect=1)
            assert done.stdout == ""
            assert done.stderr.startswith("numapool: ")
            assert done.stderr.count("\n") == 1
            assert says in done.stderr
            assert str(bad) in done.stderr

    def test_paths_that_cannot_be_measured(self, tmp_path: Path) -> None:
        small = tmp_path / "small"
        small.write_bytes(b"x")
        for path, says in (
            (tmp_path / "nowhere", "No such file or directory"),
            (tmp_path, "Is a directory"),
            (small, "holds 1 bytes: to measure a device"),
        ):
            done = run("--quick", str(path), expect=1)
            assert (done.stdout, done.stderr.count("\n")) == ("", 1)
            assert says in done.stderr
            assert str(path) in done.stderr

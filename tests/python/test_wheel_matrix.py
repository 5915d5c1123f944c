"""The scripts that cross-compile wheels (.ci/wheels): their tables, and how they pack."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if not (ROOT / ".ci" / "wheels").is_dir():
    pytest.skip("the scripts are not beside the tests", allow_module_level=True)
sys.path.insert(0, str(ROOT / ".ci"))

from wheels import audit, headers, matrix, pack, records, run, sources, table, windows  # noqa: E402

CELLS = matrix.cells()


def test_every_python_is_built_for_every_target() -> None:
    names = {cell.name for cell in CELLS}
    pythons = ["cp311", "cp312", "cp313", "cp313t", "cp314", "cp314t"]
    targets = ["manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64", "windows_x86_64"]
    assert names == {f"{python}-{target}" for python in pythons for target in targets}


def test_a_cell_knows_its_names() -> None:
    (cell,) = matrix.chosen("cp314t-manylinux_aarch64", CELLS)
    assert cell.tags == "cp314-cp314t-manylinux_2_28_aarch64"
    assert cell.module == "_core.cpython-314t-aarch64-linux-gnu.so"
    assert (cell.python.version, cell.python.free_threaded) == ("3.14", True)
    assert cell.target.processor == "aarch64"
    (cell,) = matrix.chosen("cp312-windows_x86_64", CELLS)
    assert (cell.tags, cell.module) == ("cp312-cp312-win_amd64", "_core.cp312-win_amd64.pyd")
    assert (cell.target.platform, cell.target.zig) == ("windows", None)


def test_the_choice_takes_names_and_nothing_else() -> None:
    assert matrix.chosen("", CELLS) == CELLS
    two = matrix.chosen(" cp311-manylinux_x86_64, cp313-musllinux_x86_64\n", CELLS)
    assert [cell.name for cell in two] == ["cp311-manylinux_x86_64", "cp313-musllinux_x86_64"]
    with pytest.raises(SystemExit, match="unknown in ONLY: cp310-manylinux_x86_64"):
        matrix.chosen("cp311-manylinux_x86_64 cp310-manylinux_x86_64", CELLS)


def test_a_wheel_that_is_left_out_is_one_of_the_matrix(tmp_path: Path) -> None:
    text = (ROOT / ".ci" / "wheels" / "matrix.toml").read_text().split("[left_out]")[0]
    text += "[left_out]\n"
    file = tmp_path / "matrix.toml"
    file.write_text(f'{text}cp311-musllinux_x86_64 = "so"\n')
    reasons = {cell.name: cell.left_out for cell in matrix.cells(file)}
    assert reasons["cp311-musllinux_x86_64"] == "so"
    file.write_text(f'{text}cp310-nowhere = "so"\n')
    with pytest.raises(SystemExit, match="does not have: cp310-nowhere"):
        matrix.cells(file)


def test_headers_are_pinned_or_an_interpreters() -> None:
    pins = headers.pins()
    wanted = {(cell.python.suite, cell.target.debian) for cell in CELLS if cell.python.suite}
    assert pins.keys() == wanted
    assert all(len(digest) == 64 for _, digest in pins.values())
    for cell in CELLS:
        if cell.python.suite:
            path, _ = pins[cell.python.suite, cell.target.debian]
            assert f"libpython{cell.python.version}-dev_" in path
        else:
            assert cell.python.no_interpreter


def test_built_pythons_and_those_for_windows_are_pinned() -> None:
    names = {cell.name: cell for cell in CELLS}
    for name, (path, digest) in sources.pins().items():
        version = names[name].python.version
        assert path.startswith(f"pool/main/p/python{version}/python{version}_{version}.")
        assert len(digest) == 64
    assert set(windows.pins()) <= {cell.python.tag for cell in CELLS}
    assert all(" --hash=sha256:" in line for line in windows.pins().values())
    of_tests = (ROOT / ".ci" / "windows" / "python.txt").read_text().splitlines()
    assert windows.pins()["cp311"] in of_tests
    # What cannot be had is said, not tried.
    (cell,) = matrix.chosen("cp314-windows_x86_64", CELLS)
    assert headers.missing(cell) == "no package has this CPython for Windows"


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ("manylinux_2_28_x86_64", True),
        ("manylinux_2_5_x86_64", True),
        ("manylinux_2_29_x86_64", False),
        ("manylinux_2_17_aarch64", False),
        ("musllinux_1_2_x86_64", False),
        ("linux_x86_64", False),
    ],
)
def test_a_tag_promises_no_more_than_the_module_keeps(found: str, kept: bool) -> None:
    assert audit.keeps("manylinux_2_28_x86_64", found) is kept


def test_two_packs_have_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "DIST", tmp_path / "dist")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    (cell,) = matrix.chosen("cp313-manylinux_x86_64", CELLS)
    package = tmp_path / "numapool-9.9-py3-none-any.whl"
    about = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n\n"
    names = [
        "numapool/__init__.py",
        "numapool-9.9.dist-info/WHEEL",
        "numapool-9.9.dist-info/RECORD",
    ]
    module = tmp_path / "_core.so"
    module.write_bytes(b"\x7fELF")

    found = []
    for when, order in ((1980, 1), (2020, -1)):
        with zipfile.ZipFile(package, "w") as archive:
            for name in names[::order]:
                entry = zipfile.ZipInfo(name, (when, 1, 1, 0, 0, 0))
                archive.writestr(entry, about if name.endswith("WHEEL") else "")
        wheel = pack.packed(cell, package, module)
        found.append(wheel.read_bytes())
    assert wheel.name == "numapool-9.9-cp313-cp313-manylinux_2_28_x86_64.whl"
    assert found[0] == found[1]

    with zipfile.ZipFile(io.BytesIO(found[0])) as archive:
        read = {name: archive.read(name).decode() for name in archive.namelist()}
        modes = {one.filename: one.external_attr >> 16 & 0o777 for one in archive.infolist()}
    module_name = "numapool/_core.cpython-313-x86_64-linux-gnu.so"
    assert sorted(read) == sorted([*names, module_name])
    assert (modes[module_name], modes[names[0]]) == (0o755, 0o644)
    assert read[names[1]] == (
        "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp313-cp313-manylinux_2_28_x86_64\n"
    )
    rows = read[names[2]].splitlines()
    assert rows[-1] == "numapool-9.9.dist-info/RECORD,,"
    assert f"{module_name},sha256=" in "\n".join(rows)
    assert len(rows) == len(read)


def test_the_table_is_made_of_the_records() -> None:
    page = (ROOT / "docs" / "platforms.md").read_text()
    made = page.split(table.BEGIN)[1].split(table.END)[0]
    assert made == table.table(table.RECORDS), "run .ci/wheels/table"


def test_the_table_says_what_failed_and_what_was_not_tried(tmp_path: Path) -> None:
    run = {"python": "3.13.5", "where": "here", "what": "alone", "result": "passed"}
    failed = {**run, "what": "with NumPy", "result": "failed: status 1: no"}
    record = {
        "name": "cp313-manylinux_x86_64",
        "bytes": 1234567,
        "needs": "manylinux_2_17",
        "runs": [run, failed],
    }
    file = tmp_path / "wheels.json"
    file.write_text(json.dumps([record, {"name": "cp312-manylinux_x86_64", "left_out": "so"}]))
    lines = table.table(file).splitlines()
    assert (
        "| cp313-manylinux_x86_64 | 1.23 MB | glibc 2.17 "
        "| Python 3.13.5, here: alone, with NumPy (failed) |"
    ) in lines
    assert "| cp312-manylinux_x86_64 | | | not built: so |" in lines
    assert any(line.startswith("| cp311-manylinux_x86_64 | | | not built: ") for line in lines)


def test_the_closing_lines_of_pytest_become_runs() -> None:
    lines = ["..x", "2 failed, 40 passed, 1 skipped in 3.21s", "passed"]
    (told,) = run.tests_told("3.13.5", "here", lines)
    assert (told["what"], told["result"]) == ("42 tests of the package", "failed: 2")


def test_a_run_takes_the_place_of_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RECORDS", tmp_path)
    (cell,) = matrix.chosen("cp313-manylinux_x86_64", CELLS)
    wheel = tmp_path / "one.whl"
    wheel.write_bytes(b"")
    records.write_built(cell, wheel, "manylinux_2_17")
    here = {"python": "3.13.5", "where": "here", "result": "passed"}
    tests, checks = {**here, "what": "86 tests"}, {**here, "what": "13 checks"}
    records.write_own_runs(cell, [checks, tests])
    records.write_own_runs(cell, [{**tests, "where": "there"}])
    again = {**tests, "what": "87 tests"}
    records.write_own_runs(cell, [again])
    known = records.read(cell)
    assert known is not None
    assert known["runs"] == [again, {**tests, "where": "there"}, checks]


def test_a_pytest_that_breaks_off_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        python, where = "3.13.5", "here"

        def inside(self, name: str) -> str:
            return name

        def execute(self, *arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.CompletedProcess(arguments, 4, "", "E  No module named 'zlib'\n")

    monkeypatch.setattr(run, "MODULES", ["pool"])
    (told,) = run.tests_run(Broken())  # type: ignore[arg-type]
    assert told["result"] == "failed: status 4: E  No module named 'zlib'"


def test_numpy_is_installed_where_a_wheel_of_it_runs() -> None:
    def beside(name: str) -> str | None:
        (cell,) = matrix.chosen(name, CELLS)
        file = run.requirements(cell)
        assert file is None or file.exists()
        return file.name if file else None

    assert beside("cp313-manylinux_x86_64") == "wheel-run.txt"
    assert beside("cp313-musllinux_x86_64") == "free-threaded.txt"
    assert beside("cp313t-manylinux_x86_64") == "free-threaded.txt"
    assert beside("cp312-windows_x86_64") == "windows.txt"
    assert beside("cp313-windows_x86_64") is None


def test_the_kernel_that_is_built_is_pinned_and_has_no_modules() -> None:
    folder = ROOT / ".ci" / "aarch64"
    path, digest = (folder / "64k.txt").read_text().splitlines()[-1].split()
    assert path.startswith("pool/main/l/linux/linux-source-")
    assert len(digest) == 64
    lines = (folder / "64k.config").read_text().splitlines()
    settings = [line for line in lines if line.startswith("CONFIG_")]
    assert "CONFIG_ARM64_64K_PAGES=y" in settings
    assert not [line for line in settings if line.endswith("=m")]


def test_a_pin_stays_if_the_archive_lacks_what_its_suite_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wheels import apt

    (cell,) = matrix.chosen("cp314t-manylinux_x86_64", CELLS)
    pinned = f"{cell.name} pool/main/p/python3.14/python3.14_3.14.7.orig.tar.xz {'a' * 64}"
    listed = f" {'b' * 64} 24 python3.14_3.14.9.orig.tar.xz\n"
    pins = tmp_path / "sources.txt"
    pins.write_text(f"# about\n{pinned}\n")
    monkeypatch.setattr(sources, "PINS", pins)
    monkeypatch.setattr(apt.Suite, "run", lambda *_arguments: listed)
    monkeypatch.setattr(apt, "serves", lambda _path: False)
    sources.lock()
    assert pins.read_text() == f"# about\n{pinned}\n"
    monkeypatch.setattr(apt, "serves", lambda _path: True)
    sources.lock()
    assert pins.read_text().split()[-1] == "b" * 64


def test_a_download_is_what_was_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wheels import apt

    monkeypatch.setattr(apt, "DOWNLOADS", tmp_path)
    file = tmp_path / "libpython_1_amd64.deb"
    file.write_bytes(b"another")
    with pytest.raises(SystemExit, match=r"libpython_1_amd64\.deb is not what was pinned"):
        apt.fetch("pool/libpython_1_amd64.deb", hashlib.sha256(b"this").hexdigest())
    assert apt.fetch("pool/libpython_1_amd64.deb", hashlib.sha256(b"another").hexdigest()) == file

"""The project's own files: what the workflows run exists, and what is pinned is pinned alike."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
if not (ROOT / ".github").is_dir():
    pytest.skip("the project's own files are not beside the tests", allow_module_level=True)

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(
    path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"
)


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _targets() -> set[str]:
    text = (ROOT / "Makefile").read_text()
    names = " ".join(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)).split()
    return {name for name in names if not name.startswith("apt-")}


def _pins(requirements: str) -> dict[str, str]:
    text = (ROOT / ".ci" / "requirements" / f"{requirements}.in").read_text()
    return dict(re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_what_there_is(path: Path) -> None:
    jobs = _read(path)["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert all(("run" in step) != ("uses" in step) for step in steps)
    for step in steps:
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", step["uses"])
        for target in re.findall(r"\bmake ([\w-]+)", step.get("run", "")):
            assert target in _targets()


def test_pull_requests_are_checked_on_each_python() -> None:
    workflow = _read(ROOT / ".github" / "workflows" / "checks.yml")
    triggers = workflow[True]  # YAML 1.1 reads the key `on` so
    assert set(triggers) == {"push", "pull_request"}
    assert set(workflow["jobs"]) == {"lint", "tests", "docs"}
    versions = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms_ask_for_what_doctor_says(path: Path) -> None:
    form = _read(path)
    assert {"name", "description", "body"} <= set(form)
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    ids = [part["id"] for part in fields]
    assert len(ids) == len(set(ids))
    assert all(part["attributes"]["label"] for part in fields)
    assert "`numapool doctor --json`" in {part["attributes"]["label"] for part in fields}


def test_pre_commit_calls_the_linters_of_make_check() -> None:
    hooks = [
        hook
        for repository in _read(ROOT / ".pre-commit-config.yaml")["repos"]
        for hook in repository["hooks"]
    ]
    programs = {Path(hook["entry"].split()[0]) for hook in hooks}
    assert {program.parent for program in programs} == {Path(".venv/bin")}
    names = {program.name for program in programs}
    assert names == {"ruff", "clang-format", "mypy"}
    assert names <= set(_pins("test"))
    linters = (ROOT / ".ci" / "linters.sh").read_text()
    for hook in hooks:
        assert f'step "{hook["name"]}"' in linters
    for caller in ("check", "lint"):
        assert "\nlint_sources\n" in (ROOT / ".ci" / caller).read_text()


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    listed = "\n".join(re.findall(r"^## make (.*)$", text, re.MULTILINE))
    for target in _targets() - {"help"}:
        assert re.search(rf"(?<![\w-]){target}(?![\w-])", listed), target


def _second_boots() -> Any:
    path = ROOT / ".ci" / "second_boots.py"
    spec = importlib.util.spec_from_file_location("second_boots", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_second_boot_names_a_test_and_a_reason() -> None:
    reasons = _second_boots().reasons()
    assert all(len(reason.split()) >= 10 for reason in reasons.values())
    for test in reasons:
        module, _, function = test.partition("::")
        text = (ROOT / "tests" / "guest" / f"{module}.py").read_text()
        assert not function or re.search(rf"^def {function}\(", text, re.MULTILINE), test


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        (["tests/guest/test_full_node.py::test_more_than_any_node_is_split[two_equal]"], None),
        (["tests/guest/test_hotplug.py::test_node_comes_serves_and_goes"], None),
        (["tests/guest/test_topology.py::test_distances[two_equal]"], "does not list it"),
        ([], "0 guest tests failed"),
        ([f"tests/guest/test_full_node.py::test_{i}" for i in range(4)], "only 1 to 3"),
    ],
)
def test_only_listed_tests_get_a_second_boot(failed: list[str], reason: str | None) -> None:
    said = _second_boots().refusal(failed)
    assert said is None if reason is None else reason in said

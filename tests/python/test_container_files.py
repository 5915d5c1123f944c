"""The files for containers: they parse, fit each other, and name what numapool asks the kernel."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from support.seccomp import NUMBERS

from numapool.cli import run_options

ROOT = Path(__file__).parents[2]
FILES = ROOT / "examples" / "containers"
if not FILES.is_dir():
    pytest.skip("the examples are not beside the tests", allow_module_level=True)

OURS = json.loads((FILES / "seccomp-numapool.json").read_text())
NAMES = {name for entry in OURS["syscalls"] for name in entry["names"]}


def read_yaml(name: str) -> Any:
    return pytest.importorskip("yaml").safe_load((FILES / name).read_text())


def test_the_profile_names_the_calls_that_are_made() -> None:
    """Those that a container's default profile allows are not listed."""
    kernel = ROOT / "csrc" / "platform" / "linux"
    sources = [path.read_text() for path in kernel.rglob("*.[ch]pp")]
    made = {name for text in sources for name in re.findall(r"\bSYS_(\w+)", text)}
    assert made - {"futex", "getcpu", "ioctl", "statx"} == NAMES
    assert all(numbers.keys() >= NAMES for numbers in NUMBERS.values())


def test_every_call_of_the_profile_is_explained() -> None:
    page = (ROOT / "docs" / "howto" / "containers.md").read_text()
    section = page.partition("## System calls")[2].partition("\n## ")[0]
    table = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert table == NAMES


#: A profile of the shape of Docker's.
DEFAULT: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 1,
    "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": None},
    ],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": None},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_CHROOT"]}},
        {
            "names": ["clone3"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 38,
            "excludes": {"caps": ["CAP_SYS_ADMIN"]},
        },
        {  # as Podman's has it
            "names": ["mbind", "vhangup", "move_pages"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 1,
            "excludes": {"caps": ["CAP_SYS_NICE"]},
        },
        {"names": ["mbind"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_NICE"]}},
    ],
}


def test_a_profile_is_made_of_the_default_and_ours() -> None:
    make = runpy.run_path(str(FILES / "seccomp_profile.py"))["profile"]

    def allowed(made: dict[str, Any]) -> set[str]:
        entries = [one for one in made["syscalls"] if one["action"] == "SCMP_ACT_ALLOW"]
        return {name for one in entries for name in one["names"]}

    made = make(DEFAULT, set(), "x86_64")
    assert allowed(made) == {"read", "arch_prctl", "chroot", *NAMES}
    assert [one for one in made["syscalls"] if one["action"] == "SCMP_ACT_ERRNO"] == [
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["vhangup"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
    ]
    assert DEFAULT["syscalls"][5]["names"] == ["mbind", "vhangup", "move_pages"]
    assert made["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert (made["defaultAction"], made["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert not {"includes", "excludes"} & {key for one in made["syscalls"] for key in one}
    admin = make(DEFAULT, {"CAP_SYS_ADMIN"}, "aarch64")
    assert allowed(admin) == {"read", "mount", "chroot", *NAMES}
    assert "clone3" not in str(admin) and admin["architectures"] == ["SCMP_ARCH_AARCH64"]


def test_commands_are_understood() -> None:
    text = (FILES / "Dockerfile").read_text()
    entry, command = (
        json.loads(re.findall(rf"^{word} (.*)$", text, re.MULTILINE)[0])
        for word in ("ENTRYPOINT", "CMD")
    )
    assert entry == ["numapool", "run"]
    services = read_yaml("compose.yaml")["services"]
    (container,) = read_yaml("pod.yaml")["spec"]["containers"]
    for arguments in (command, services["app"]["command"], container["args"]):
        assert run_options.read(arguments).command == ["python", "/app.py"]


def test_the_pod_and_the_kubelet_meet_the_managers_conditions() -> None:
    (container,) = read_yaml("pod.yaml")["spec"]["containers"]
    resources = container["resources"]
    assert resources["requests"] == resources["limits"]
    assert resources["limits"]["cpu"].isdigit()
    kubelet = read_yaml("kubelet.yaml")

    def mebibytes(text: str) -> int:
        return int(text.removesuffix("Mi"))

    reserved = sum(mebibytes(one["limits"]["memory"]) for one in kubelet["reservedMemory"])
    assert reserved == sum(
        mebibytes(text)
        for text in (
            kubelet["kubeReserved"]["memory"],
            kubelet["systemReserved"]["memory"],
            kubelet["evictionHard"]["memory.available"],
        )
    )

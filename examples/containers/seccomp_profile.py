"""Makes a seccomp profile for numapool from the default profile of Docker or Podman.

    python seccomp_profile.py default.json > seccomp.json

`default.json` is profiles/seccomp/default.json of https://github.com/moby/moby, in the version that
your machines run, or Podman's /usr/share/containers/seccomp.json. Docker, Podman and Kubernetes
read the result. Kubernetes' containerd knows no
conditions in a profile, so they are decided here, for a container with the capabilities that
`--cap` names, beside those that Docker gives.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

#: By the machine's name: the architecture in a profile's conditions, and as seccomp calls it.
_ARCHITECTURES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
}
#: What Docker gives containers, as far as the default profile asks for it.
_GIVEN = {"CAP_SYS_CHROOT"}
_KEPT = ("names", "action", "args", "errnoRet", "comment")
_OURS = Path(__file__).with_name("seccomp-numapool.json")


def applies(entry: dict[str, Any], capabilities: set[str], architecture: str) -> bool:
    """Whether an entry holds for a container with these capabilities on this architecture."""
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    return (
        set(includes.get("caps", ())) <= capabilities
        and architecture in includes.get("arches", [architecture])
        and not capabilities & set(excludes.get("caps", ()))
        and architecture not in excludes.get("arches", ())
    )


def profile(
    default: dict[str, Any], capabilities: set[str], machine: str = platform.machine()
) -> dict[str, Any]:
    """Return the default profile without its conditions, and with what numapool needs."""
    architecture, name = _ARCHITECTURES[machine]
    found = next(one for one in default["archMap"] if one["architecture"] == name)
    entries = [
        dict(one)
        for one in default["syscalls"]
        if applies(one, capabilities | _GIVEN, architecture)
    ]
    ours = json.loads(_OURS.read_text())["syscalls"]
    allowed = {name for one in ours for name in one["names"]}
    # Podman's profile also has entries that refuse some of these calls, which would win.
    for one in entries:
        one["names"] = [name for name in one["names"] if name not in allowed]
    entries = [one for one in entries if one["names"]] + ours
    kept: dict[str, Any] = {
        key: default[key] for key in ("defaultAction", "defaultErrnoRet") if key in default
    }
    return {
        **kept,
        "architectures": [name, *(found.get("subArchitectures") or ())],
        "syscalls": [{key: one[key] for key in _KEPT if one.get(key)} for one in entries],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("default", type=Path, help="the default profile of Docker or Podman")
    parser.add_argument("--cap", action="append", default=[], help="such as CAP_SYS_NICE")
    chosen = parser.parse_args()
    json.dump(
        profile(json.loads(chosen.default.read_text()), set(chosen.cap)), sys.stdout, indent=2
    )

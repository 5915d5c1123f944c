"""Makes a wheel portable: grafts the libraries it links, and adds their licences.

Usage: repair_wheel.py WHEEL DIRECTORY. The wheel written to DIRECTORY carries the manylinux tag
that auditwheel finds for the symbol versions it really uses.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

NOTICE = """\
{file} in this wheel is a copy of {name}, which is not part of numapool; only its file name and
SONAME were changed, so that it meets no other copy in one process. Its licence is the GNU Lesser
General Public License, version 2.1, whose text lies beside this file. It is loaded as a shared
object: replace the file to use another build of it.
Its source: https://github.com/numactl/numactl
"""


@dataclass(frozen=True)
class Grafted:
    """A library that may be grafted, and where the systems we build on keep its licence texts."""

    name: str
    license_expression: str
    texts: dict[str, tuple[str, ...]]


LIBRARIES = (
    Grafted(
        name="libnuma",
        license_expression="LGPL-2.1-only",
        texts={
            "LGPL-2.1.txt": (
                "/usr/share/common-licenses/LGPL-2.1",  # Debian, Ubuntu
                "/usr/share/licenses/numactl-libs/LICENSE.LGPL2.1",  # Fedora
            ),
            "copyright.txt": (
                "/usr/share/doc/libnuma1/copyright",
                "/usr/share/doc/libnuma-dev/copyright",
                "/usr/share/doc/numactl-libs/README.md",
            ),
        },
    ),
)


def main(wheel: Path, directory: Path) -> None:
    """Repair `wheel` and write the result into `directory`, which then holds no other wheel."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", scratch, str(wheel)],
            check=True,
        )
        (repaired,) = Path(scratch).glob("*.whl")
        if "manylinux" not in repaired.name:
            sys.exit(f"repair_wheel: {repaired.name} has no manylinux tag; it would run only here")
        for old in directory.glob("numapool-*.whl"):
            old.unlink()
        add_licences(repaired, directory / repaired.name)
    print(f"repair_wheel: wrote {directory / repaired.name}")


def add_licences(source: Path, target: Path) -> None:
    """Copy the wheel, with the licence texts of its grafted libraries in RECORD and METADATA."""
    with zipfile.ZipFile(source) as old:
        infos = {info.filename: info for info in old.infolist()}
        contents = {name: old.read(name) for name in infos if not name.endswith("/")}
    (record_name,) = [name for name in contents if name.endswith(".dist-info/RECORD")]
    info_folder = record_name.removesuffix("/RECORD")

    added: dict[str, bytes] = {}
    expressions: list[str] = []
    for path in sorted(name for name in contents if re.match(r"[^/]+\.libs/", name)):
        library = library_of(Path(path).name)
        expressions.append(library.license_expression)
        added[f"{library.name}/NOTICE.txt"] = NOTICE.format(file=path, name=library.name).encode()
        for name, places in library.texts.items():
            added[f"{library.name}/{name}"] = first_file(places).read_bytes()
    if not added:
        sys.exit(f"repair_wheel: nothing was grafted into {source.name}; is libnuma linked?")

    metadata = f"{info_folder}/METADATA"
    text = with_licences(contents[metadata].decode(), list(added), expressions)
    contents[metadata] = text.encode()
    contents |= {f"{info_folder}/licenses/{name}": data for name, data in added.items()}
    contents[record_name] = record(contents, record_name)

    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in contents.items():
            info = infos.get(name)
            if info is None:
                info = zipfile.ZipInfo(name, date_time=infos[record_name].date_time)
                info.external_attr = infos[metadata].external_attr
            new.writestr(info, data, zipfile.ZIP_DEFLATED)


def library_of(file_name: str) -> Grafted:
    """Return the entry of a grafted file; one whose licence is unknown must not be shipped."""
    for library in LIBRARIES:
        if file_name.startswith(library.name):
            return library
    sys.exit(f"repair_wheel: {file_name} was grafted; add its licence to LIBRARIES")


def first_file(places: tuple[str, ...]) -> Path:
    """Return the first of `places` that is a file."""
    for place in places:
        if Path(place).is_file():
            return Path(place)
    sys.exit(f"repair_wheel: no licence text for a grafted library; looked for {', '.join(places)}")


def with_licences(metadata: str, files: list[str], expressions: list[str]) -> str:
    """Return the core metadata with the added licence files and the combined licence expression."""
    head, separator, body = metadata.partition("\n\n")
    lines = head.split("\n")
    (at,) = [i for i, line in enumerate(lines) if line.startswith("License-Expression: ")]
    lines[at] = " AND ".join([lines[at], *sorted(set(expressions))])
    lines += [f"License-File: {name}" for name in files]
    return "\n".join(lines) + separator + body


def record(contents: dict[str, bytes], record_name: str) -> bytes:
    """Return RECORD for `contents` (binary distribution format: urlsafe base64 of sha256, size)."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for name, data in contents.items():
        if name != record_name:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            rows.writerow((name, f"sha256={digest}", len(data)))
    rows.writerow((record_name, "", ""))
    return text.getvalue().encode()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))

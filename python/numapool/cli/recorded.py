"""The machine that a command is about: this one, or one that ``numapool capture`` recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numapool.machine.topology import NumaTopology

if TYPE_CHECKING:
    from pathlib import Path
    from tempfile import TemporaryDirectory

# Of archives that were taken apart, as long as the program runs.
_folders: list[TemporaryDirectory[str]] = []


def machine_of(sysfs: Path | None) -> NumaTopology:
    """Return the recorded machine; this one if none was named."""
    if sysfs is None:
        return NumaTopology.detect()
    if not sysfs.is_file():
        return NumaTopology.from_sysfs(sysfs)
    import tarfile
    from tempfile import TemporaryDirectory

    folder = TemporaryDirectory(prefix="numapool-")
    _folders.append(folder)
    try:
        with tarfile.open(sysfs) as archive:
            archive.extractall(folder.name, filter="data")
    except tarfile.TarError as error:
        raise OSError(f"{sysfs} is not an archive of 'numapool capture': {error}") from None
    return NumaTopology.from_sysfs(folder.name)

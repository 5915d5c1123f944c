"""The files of the machine that is probed, below a given root."""

from __future__ import annotations

import os

from numapool.base.locks import cached_property
from numapool.machine.topology import NumaTopology

CAP_IPC_LOCK = 14  # include/uapi/linux/capability.h
CAP_SYS_NICE = 23
CAP_SYS_RESOURCE = 24


class Machine:
    """Reads /sys and /proc of a machine; a file that cannot be read is None, never an error.

    Parameters
    ----------
    root : str
        The folder that holds ``sys`` and ``proc``.
    """

    def __init__(self, root: str = "/") -> None:
        self.root = root

    def path(self, path: str) -> str:
        """Return where an absolute path of the machine is."""
        return os.path.join(self.root, path.lstrip("/"))  # noqa: PTH118

    def read(self, path: str) -> str | None:
        """Return the text of a file without the blanks around it."""
        try:
            with open(self.path(path), encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                return file.read().strip(" \n\0")
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """Return the number that a file holds."""
        text = self.read(path)
        try:
            return None if text is None else int(text, 0)
        except ValueError:
            return None

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder in order; none if it is missing."""
        try:
            return sorted(os.listdir(self.path(folder)))  # noqa: PTH208
        except OSError:
            return []

    def target(self, link: str) -> str | None:
        """Return the last part of what a symbolic link leads to."""
        try:
            return os.path.basename(os.readlink(self.path(link)))  # noqa: PTH115, PTH119
        except OSError:
            return None

    @cached_property
    def topology(self) -> NumaTopology:
        """The nodes."""
        return NumaTopology.detect() if self.root == "/" else NumaTopology.from_sysfs(self.root)

    @cached_property
    def usable_nodes(self) -> tuple[int, ...]:
        """The nodes with memory that this process may use, ascending."""
        return tuple(sorted(self.topology.nearest(self.topology.nodes[0].node_id)))

    @cached_property
    def default_nodes(self) -> tuple[int, ...]:
        """The nodes that are used where none is named: no memory of devices."""
        return self.topology.default_node_ids

    @cached_property
    def status(self) -> dict[str, str]:
        """The lines of proc_pid_status(5) by their names."""
        lines = (self.read("/proc/self/status") or "").splitlines()
        pairs = (line.partition(":") for line in lines)
        return {name: value.strip() for name, _, value in pairs}

    def has_capability(self, number: int) -> bool | None:
        """Tell whether this process has a capability (capabilities(7)); None if it is not told."""
        try:
            return bool(int(self.status["CapEff"], 16) >> number & 1)
        except (KeyError, ValueError):
            return None

    @property
    def has_seccomp_filter(self) -> bool:
        """Whether a seccomp filter decides which system calls this process may make."""
        return self.status.get("Seccomp") == "2"


def words_of(error: OSError) -> str:
    """Return what an error says, without its number."""
    return str(error.strerror or error)

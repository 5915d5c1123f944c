"""The exceptions and warnings of numapool."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which takes long to load
if TYPE_CHECKING:
    from collections.abc import Iterable


class NumapoolError(Exception):
    """Base class of every exception that numapool defines."""


class NodeNotFoundError(NumapoolError, ValueError):
    """A node id that this machine does not have; the message names the nodes that exist."""


def no_such_node(node: int, known: Iterable[int]) -> NodeNotFoundError:
    """Return the error for a node that is not among those of the machine."""
    return NodeNotFoundError(
        f"there is no node {node}; this machine has: {', '.join(map(str, known))}"
    )


class TopologyError(NumapoolError, ValueError):
    """A sysfs tree that cannot be understood; the message names the file and its text."""


class PlacementError(NumapoolError, MemoryError):
    """Memory could not be placed where ``strict=True`` asked for it.

    Attributes
    ----------
    bytes_by_node : dict[int, int]
        Bytes that had landed on each node before they were given back; empty where nothing was
        tried.
    """

    def __init__(self, message: str, bytes_by_node: dict[int, int] | None = None) -> None:
        super().__init__(message)
        self.bytes_by_node: dict[int, int] = dict(bytes_by_node or {})


class PoolExhaustedError(NumapoolError, MemoryError):
    """A pool holds ``max_bytes`` already, or a ring's next block is in use; nothing was changed."""


class StorageError(NumapoolError, OSError):
    """A transfer failed midway; ``errno`` and ``filename`` say how and of what.

    Attributes
    ----------
    offset : int
        The first byte of the file that was not transferred.
    """

    def __init__(self, code: int, message: str, path: str, offset: int) -> None:
        super().__init__(code, message, path)
        self.offset = offset

    def __reduce__(self) -> tuple[type[StorageError], tuple[int, str, str, int]]:
        return type(self), (self.errno or 0, self.strerror or "", self.filename, self.offset)


class UnsupportedError(NumapoolError, OSError):
    """The operating system lacks the operation or refuses it; the message says how to get it.

    ``errno`` holds the system's answer where a call was made.
    """


class PlacementWarning(UserWarning):
    """Memory was handed out with less placement than asked for; issued once per cause."""

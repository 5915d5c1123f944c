"""The machine's nodes and this thread's memory policy, by the part of the core that loads at once.

``numapool run`` becomes another program, which is not to wait for more than it needs. Most of the
time that the core takes to load goes into making its types. So its file holds a second module
without types ("multiple modules in one library" of PEP 489), which is loaded here.
"""

from __future__ import annotations

import sys
from _frozen_importlib import ModuleSpec  # importlib, which has them for all, loads more
from _frozen_importlib_external import ExtensionFileLoader

TYPE_CHECKING = False  # as typing has it, which takes long to load
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

_NAME, _CORE = "numapool._binder", "numapool._core"


class MachineNode:
    """A node that is online.

    Attributes
    ----------
    node_id : int
    cpus : tuple[int, ...]
        Those of its CPUs that are online.
    usable : bool
        Whether it has memory that this process may use.
    default : bool
        Whether memory comes from it where no node is named.
    distances : dict[int, int]
        To each node, by id; 10 is local.
    """

    __slots__ = ("cpus", "default", "distances", "node_id", "usable")

    def __init__(
        self,
        node_id: int,
        cpus: tuple[int, ...],
        usable: bool,
        default: bool,
        distances: dict[int, int],
    ) -> None:
        self.node_id = node_id
        self.cpus = cpus
        self.usable = usable
        self.default = default
        self.distances = distances


def nodes() -> list[MachineNode]:
    """Return the nodes that are online now, by ascending id.

    Raises
    ------
    TopologyError, OSError
        The system does not tell.
    """
    found = _binder.nodes()
    ids = [one[0] for one in found]
    return [
        MachineNode(node_id, cpus, usable, default, dict(zip(ids, row, strict=True)))
        for node_id, cpus, usable, default, row in found
    ]


def memory_order(node: int) -> list[int]:
    """Return the nodes in the order in which memory for a node is taken from them."""
    return list(_binder.memory_order(node))


def set_policy(mode: str, nodes: Iterable[int]) -> None:
    """Set the calling thread's memory policy.

    Parameters
    ----------
    mode : "preferred", "preferred-many", "bind", "interleave" or "weighted-interleave"
    nodes : iterable of int

    Raises
    ------
    OSError
        The system refuses it; ``errno`` says why.
    """
    _binder.set_policy(mode, list(nodes))


def _load() -> ModuleType:
    package = sys.modules[_CORE.partition(".")[0]]
    for finder in sys.meta_path:
        core = finder.find_spec(_CORE, package.__path__)
        if core is not None and core.loader is not None:
            break
    else:
        raise ModuleNotFoundError(f"no module named {_CORE!r}", name=_CORE)
    assert core.origin is not None
    # By the interpreter's own loader, whatever found the file: an editable install has another.
    loader = ExtensionFileLoader(_NAME, core.origin)
    spec = ModuleSpec(_NAME, loader, origin=core.origin)
    module = loader.create_module(spec)
    assert module is not None
    loader.exec_module(module)
    return module


_binder = _load()

"""Sets of nodes, and the words that name them: ``0-3``, ``all``, ``cpu``, ``near:/data``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import SupportsIndex, TypeAlias

from numapool import _core
from numapool.base import arguments
from numapool.base.errors import PlacementError, no_such_node
from numapool.base.units import ids_of, ids_text
from numapool.base.warn_once import warn_once
from numapool.machine import gpus
from numapool.machine.device_search import device_locality, device_node, why_unknown
from numapool.machine.topology import current_topology, known_topology

TAKES = (
    "the id of a node (an integer) or words for nodes ('0-3', 'all', 'cpu', 'memory-only', "
    "'local', 'fastest', 'socket:N', 'tier:N', 'near:PATH', 'pci:ADDRESS', 'gpu:N', 'cuda:N', "
    "'+0', '!0')"
)
_NONE = "none"


class NodeSet(frozenset[int]):
    """Nodes of a machine, ascending; made by :func:`nodes`.

    It is a :class:`frozenset` of ids. Its text, ``"0-3,8"``, is what :func:`nodes` reads again.
    """

    __slots__ = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids, ascending."""
        return tuple(sorted(frozenset.__iter__(self)))

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs of the nodes that are online now, ascending."""
        machine = current_topology()
        return tuple(
            sorted({cpu for n in machine.nodes if n.node_id in self for cpu in n.cpu_cores})
        )

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids)

    def __str__(self) -> str:
        return ids_text(self) if self else _NONE

    def __repr__(self) -> str:
        return f"NodeSet({str(self)!r})"

    def __and__(self, other: Iterable[object]) -> NodeSet:
        return NodeSet(frozenset.__and__(self, frozenset(other)))

    def __or__(self, other: Iterable[int]) -> NodeSet:  # type: ignore[override]
        return NodeSet(frozenset.__or__(self, frozenset(other)))

    def __sub__(self, other: Iterable[object]) -> NodeSet:
        return NodeSet(frozenset.__sub__(self, frozenset(other)))

    def __xor__(self, other: Iterable[int]) -> NodeSet:  # type: ignore[override]
        return NodeSet(frozenset.__xor__(self, frozenset(other)))


NodeLike: TypeAlias = SupportsIndex | str | NodeSet
"""One node: an id, or what :func:`nodes` takes where that is one node."""
NodesLike: TypeAlias = NodeLike | Iterable[SupportsIndex | str]
"""One node or several: an id, a text, a :class:`NodeSet`, or several ids and texts; see
:func:`nodes`. Memory for several nodes comes from any of them, nearest to the thread first."""


def nodes(spec: NodesLike | None = None, *, strict: bool = False) -> NodeSet:
    """Find the nodes of the running machine that a text, an id or several of them name.

    ================= ================================================================
    text              nodes
    ================= ================================================================
    ``"0-3,8"``       these ids
    ``"all"``         every node whose memory this process may use
    ``"cpu"``         nodes with CPUs
    ``"memory-only"`` nodes with memory that may be used, and without CPUs
    ``"local"``       the node of the calling thread; ``None`` is the same
    ``"fastest"``     usable nodes with the highest read bandwidth, by the firmware (HMAT)
    ``"socket:0"``    the nodes of a package, by the system's number: one, or several clusters
    ``"tier:4"``      usable nodes of a memory tier
    ``"near:PATH"``   the node nearest to a file, a disk, a network adapter
    ``"pci:ADDRESS"`` the node nearest to a PCI function
    ``"gpu:0"``       the node nearest to a GPU, by its index or UUID; ``"cuda:0"`` is the same
    ``"+0-1"``        the first and second of the nodes that may be used (as numactl(8) counts)
    ``"!2"``          every node that may be used but these; it stands before the whole text
    ================= ================================================================

    "May be used" leaves out the memory of devices, and what ``NUMAPOOL_DEFAULT_NODES`` excludes
    (:attr:`NumaTopology.default_node_ids`): name such a node by its id.

    GPUs are counted by PCI address (``CUDA_DEVICE_ORDER=PCI_BUS_ID``), and as
    ``CUDA_VISIBLE_DEVICES`` leaves them. ``"gpu:0"`` is memory of the machine near to the GPU;
    the GPU's own memory, where it is a node, goes by its id.

    Words are joined by commas: ``"0,near:/data"``. A path may have commas in it: what follows one
    and is no word belongs to the path.

    Parameters
    ----------
    spec : int, str, NodeSet, iterable of int or str, optional
        What to look for.
    strict : bool
        Whether a disk or an adapter whose node the system does not tell is an error. Otherwise the
        calling thread's node stands for it, with one warning.

    Raises
    ------
    ValueError
        A text that names nothing, or words that the machine has no node for; the message says which
        word it is, and what there is.
    NodeNotFoundError
        This machine has no node with that id.
    PlacementError
        With `strict`: the node of a path is unknown.
    OSError
        The file or device does not exist.
    TypeError
        Neither an id, a text, nor an iterable of them.
    """
    arguments.flag("strict", strict)
    return _nodes("spec", spec, strict)


def nodes_of(name: str, value: NodesLike) -> list[int]:
    """Return the ids of the nodes that an argument names, ascending; see :func:`nodes`."""
    return list(_nodes(name, value, False).ids)


def wanted_of(name: str, value: NodesLike | None) -> list[int]:
    """Return the ids of the nodes that an argument names, ascending; none of them where it is None.

    Ids need not be of this machine: whoever uses them has a machine, and tells.
    """
    if value is None:
        return []
    if type(value) is int:
        return [arguments.node(name, value)]
    found = _ids_of(name, value)
    if not found:
        what = str(value) if isinstance(value, NodeSet) else value
        raise ValueError(arguments.must_be(name, "at least one node", what))
    return sorted(found)


def named_of(name: str, value: NodesLike | None, stacklevel: int = 3) -> list[int]:
    """Return the same for what is always about nodes: None is the calling thread's, with a warning.

    :func:`numapool.device_node` answers None where the system does not tell. Where there is one
    node, it is right, and nothing is said.
    """
    if value is not None:
        return wanted_of(name, value)
    here = node_here()
    if len(current_topology().nodes) == 1:
        return [here]
    warn_once(
        "node is None",
        f"{name} is None, which names no node: node {here}, the calling thread's, is used. "
        "device_node() returns None where the system does not tell a device's node ('numapool "
        "device PATH' shows why); 'local' says that the calling thread's is meant",
        stacklevel,
    )
    return [here]


def several_of(name: str, value: NodesLike | None) -> int | NodeSet | None:
    """Return the same as what a pool reads fastest: an id, a set of several, or None."""
    if value is None or type(value) is NodeSet:
        return value
    if type(value) is int:
        return arguments.node(name, value)
    found = wanted_of(name, value)
    return found[0] if len(found) == 1 else NodeSet(found)


def _ids_of(name: str, value: NodesLike) -> set[int]:
    if isinstance(value, str | NodeSet):
        return set(_nodes(name, value, False))
    try:
        several = iter(value) if not isinstance(value, bytes | bytearray) else None  # type: ignore[arg-type]
    except TypeError:
        several = None
    if several is None:
        return {arguments.node(name, value, TAKES)}  # type: ignore[arg-type]
    return {id_ for one in several for id_ in _ids_of(f"each of {name}", one)}


def _nodes(name: str, spec: NodesLike | None, strict: bool) -> NodeSet:
    if type(spec) is NodeSet:
        return spec
    if spec is None:
        return _local()
    if isinstance(spec, str):
        words = spec.strip()
        if words.startswith("!"):
            return _usable() - _of_words(name, words[1:], strict)
        return _of_words(name, words, strict)
    if isinstance(spec, Iterable) and not isinstance(spec, bytes | bytearray):
        found: set[int] = set()
        for one in spec:
            found |= _nodes(f"each of {name}", one, strict)
        return NodeSet(found)
    return _known([arguments.node(name, spec, TAKES)])  # type: ignore[arg-type]


def _of_words(name: str, words: str, strict: bool) -> NodeSet:
    found: set[int] = set()
    parts = words.split(",")
    while parts:
        part = parts.pop(0).strip()
        if part.startswith("near:"):
            while parts and not _is_word(parts[0].strip()):
                part += "," + parts.pop(0)
        found |= _of_word(name, part, strict)
    return NodeSet(found)


def _is_word(part: str) -> bool:
    return part in _SIMPLE or part == "fastest" or part.startswith(_KINDS) or part[:1].isdigit()


def _of_word(name: str, word: str, strict: bool) -> NodeSet:
    if word in _SIMPLE:
        return _SIMPLE[word]()
    kind, _, rest = word.partition(":")
    if rest and kind in ("near", "pci"):
        return _near(rest, strict)
    if rest and kind == "tier":
        return _tier(name, rest, word)
    if rest and kind == "socket":
        return _socket(name, rest, word)
    if rest and kind in ("gpu", "cuda"):
        return _near_gpu(name, rest, word, strict)
    if word == "fastest":
        return _fastest(name)
    try:
        ids = ids_of(word.removeprefix("+"))
    except ValueError:
        raise ValueError(arguments.must_be(name, TAKES, word)) from None
    return _counted(name, ids, word) if word.startswith("+") else _known(ids)


def _known(ids: list[int]) -> NodeSet:
    known = known_topology()._known_ids
    if all(one in known for one in ids):  # a look at the machine costs ten times as much
        return NodeSet(ids)
    exist = [node.node_id for node in current_topology().nodes]
    for one in ids:
        if one not in exist:
            raise no_such_node(one, exist)
    return NodeSet(ids)


def _counted(name: str, places: list[int], word: str) -> NodeSet:
    usable = _usable().ids
    if places[-1] >= len(usable):
        takes = f"from '+0' to '+{len(usable) - 1}' (this process may use {ids_text(usable)})"
        raise ValueError(arguments.must_be(name, takes, word))
    return NodeSet(usable[place] for place in places)


def _usable() -> NodeSet:
    return NodeSet(current_topology().default_node_ids)


def _with_cpus() -> NodeSet:
    return NodeSet(node.node_id for node in current_topology().nodes if node.cpu_cores)


def _memory_only() -> NodeSet:
    return _usable() - _with_cpus()


def node_here() -> int:
    """Return the node that the calling thread works for: its home, else that of its CPU."""
    here = _core.home_node()
    if here < 0:
        here = _core.current_node()
    return here if here >= 0 else current_topology().nodes[0].node_id


def _local() -> NodeSet:
    return NodeSet([node_here()])


def _fastest(name: str) -> NodeSet:
    usable = _usable()
    told = {
        node.node_id: node.read_bandwidth_bytes_s
        for node in current_topology().nodes
        if node.node_id in usable and node.read_bandwidth_bytes_s is not None
    }
    if not told:
        takes = "other nodes where the firmware tells no bandwidths (HMAT)"
        raise ValueError(arguments.must_be(name, takes, "fastest"))
    most = max(told.values())
    return NodeSet(node for node, bandwidth in told.items() if bandwidth == most)


def _tier(name: str, number: str, word: str) -> NodeSet:
    usable = _usable()
    tiers = {one.node_id: one.memory_tier for one in current_topology().nodes}
    known = {node: tier for node, tier in tiers.items() if tier is not None and node in usable}
    found = [node for node, tier in known.items() if str(tier) == number]
    if not found:
        there = f"there are {ids_text(known.values())}" if known else "the system tells none"
        raise ValueError(arguments.must_be(name, f"a memory tier that is there ({there})", word))
    return NodeSet(found)


def _socket(name: str, number: str, word: str) -> NodeSet:
    packages = current_topology().packages
    found = [one for one in packages if str(one.package_id) == number]
    if not found:
        ids = [one.package_id for one in packages]
        there = f"there are {ids_text(ids)}" if ids else "the system tells none"
        raise ValueError(arguments.must_be(name, f"a socket that is there ({there})", word))
    return NodeSet(found[0].node_ids)


def _near_gpu(name: str, which: str, word: str, strict: bool) -> NodeSet:
    gpu, there = gpus.find_gpu(which)
    if gpu is None:
        raise ValueError(arguments.must_be(name, f"a GPU that is there ({there})", word))
    return _near(gpu.pci_address, strict)


def _near(path: str, strict: bool) -> NodeSet:
    found = device_node(path)
    if found is not None:
        return NodeSet([found])
    if len(current_topology().nodes) == 1:
        return _local()
    message = why_unknown(device_locality(path))
    if strict:
        raise PlacementError(message)
    warn_once("device_node", message, 6)
    return _local()


_KINDS = ("near:", "pci:", "gpu:", "cuda:", "socket:", "tier:", "+")
_SIMPLE = {
    "all": _usable,
    "cpu": _with_cpus,
    "memory-only": _memory_only,
    "local": _local,
    _NONE: NodeSet,
}

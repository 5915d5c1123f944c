"""Where a device is: the node of the hardware that a path, a name or a PCI address leads to."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from numapool import _core
from numapool.base import arguments, renamed
from numapool.base.arguments import PathLike
from numapool.machine.devices import Device, device_of
from numapool.machine.topology import NumaTopology


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceStep:
    """A station of the walk from a path to its hardware.

    Attributes
    ----------
    depth : int
        The step hangs from the last one before it whose depth is smaller by one.
    kind : str
        What is here: ``"file"``, ``"partition"``, ``"crypt"``, ``"loop"``, ``"bond"``, ``"PCI"``,
        the type of a file system, ...
    name : str
        What it is called.
    path : str or None
        Where the system tells of it.
    note : str or None
        Details; at the end of the walk, the evidence, or the reason why there is none.
    node_id : int or None
        The node, at the step that told it.
    """

    depth: int
    kind: str
    name: str
    path: str | None = None
    note: str | None = None
    node_id: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary fit for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceLocality:
    """Where everything that a path stands on is, and how that was found out.

    Attributes
    ----------
    path : str
        What was asked for.
    legs : tuple[Device, ...]
        Every piece of hardware under it, those of unknown node too; several for volumes, bonds and
        the like.
    node_ids : tuple[int, ...]
        The nodes of the legs, ascending.
    node_id : int or None
        The node that is nearest to all legs whose node is known: of one node, that node; of several
        the usable one with the least sum of distances. None where no leg's node is known.
    steps : tuple[DeviceStep, ...]
        The whole walk, in the order of a tree that is walked depth first.
    reason : str or None
        Why the node is unknown, of all legs or of some; None where every leg's is known.
    """

    path: str
    legs: tuple[Device, ...]
    node_ids: tuple[int, ...]
    node_id: int | None
    steps: tuple[DeviceStep, ...]
    reason: str | None = None

    nodes = renamed.attribute("DeviceLocality", "nodes", "node_ids")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary fit for JSON."""
        return {
            "path": self.path,
            "node_id": self.node_id,
            "node_ids": list(self.node_ids),
            "nodes": list(self.node_ids),  # its old name, for one release
            "reason": self.reason,
            "legs": [leg.to_dict() for leg in self.legs],
            "steps": [step.to_dict() for step in self.steps],
        }

    def __repr__(self) -> str:
        legs = ", ".join(
            f"{leg.name} on {'?' if leg.node_id is None else leg.node_id}" for leg in self.legs
        )
        why = f", reason={self.reason!r}" if self.reason else ""
        return f"<DeviceLocality {self.path!r}: node_id={self.node_id}, legs=({legs}){why}>"


def device_locality(path: PathLike, topology: NumaTopology | None = None) -> DeviceLocality:
    """Find the hardware that a path, a name or an address leads to, and the nodes it is on.

    Parameters
    ----------
    path : str or path-like
        With a slash, or of a file that exists, a path: a file, a folder, a device file. Else a PCI
        address (``0000:3b:00.0``, ``3b:00.0``), else a network interface, else another device by
        its name (``nvme0n1``, ``mlx5_0``, ``dax0.0``, ``card0``).
    topology : NumaTopology, optional
        The machine to look at, by default the running one. Of another
        (:meth:`NumaTopology.from_sysfs`) a path is looked up in the mounts it had, and need not
        exist here.

    Raises
    ------
    OSError
        The file or device does not exist (FileNotFoundError), or access to it is denied.
    """
    if topology is not None:
        return locality_by(path, _core_of(topology))
    found = locality_by(path, _core.current_topology(), _core.topology_now)
    return locality_by(path, _core.topology_now()) if len(found.node_ids) > 1 else found


def device_node(path: PathLike, topology: NumaTopology | None = None) -> int | None:
    """Return the node that is nearest to the hardware under a path; None where it is unknown.

    Parameters and errors are those of :func:`device_locality`, whose ``node_id`` this is.
    """
    if topology is not None:
        return node_by(path, _core_of(topology)).node_id
    found = node_by(path, _core.current_topology(), _core.topology_now)
    if found.node_count > 1:
        found = node_by(path, _core.topology_now())
    return found.node_id


def _core_of(topology: NumaTopology) -> _core.Topology:
    return arguments.instance("topology", topology, NumaTopology)._core


def why_unknown(locality: DeviceLocality) -> str:
    """Say that the node of a path is unknown, and why."""
    return f"cannot tell which node {locality.path!r} is on: {locality.reason}"


_Renew = Callable[[], _core.Topology | None]


def locality_by(
    path: PathLike, core: _core.Topology, renew: _Renew = lambda: None
) -> DeviceLocality:
    """Find the hardware by a topology, and by the one of `renew` if a node has come since."""
    name, asked = _asked(path)
    found = _core.locate_device(core, asked)
    if found.outdated and (newer := renew()) is not None:
        found = _core.locate_device(newer, asked)
    return _locality(name, found)


def node_by(
    path: PathLike, core: _core.Topology, renew: _Renew = lambda: None
) -> _core.NearestNode:
    """Return the node as :func:`locality_by` finds it, and how many nodes there are legs on."""
    _, asked = _asked(path)
    found = _core.device_node(core, asked)
    if found.outdated and (newer := renew()) is not None:
        found = _core.device_node(newer, asked)
    return found


def _asked(path: PathLike) -> tuple[str, bytes]:
    name = arguments.path("path", path)
    return name, os.fsencode(name)


def _locality(path: str, found: _core.DeviceLocality) -> DeviceLocality:
    return DeviceLocality(
        path=path,
        legs=tuple(device_of(leg) for leg in found.legs),
        node_ids=found.nodes,
        node_id=found.node_id,
        steps=tuple(
            DeviceStep(
                depth=step.depth,
                kind=step.kind,
                name=step.name,
                path=step.path,
                note=step.note,
                node_id=step.node_id,
            )
            for step in found.steps
        ),
        reason=found.reason,
    )

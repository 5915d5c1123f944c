"""Starts a program once on each node, as ranks of one job, and stays until all have ended."""

from __future__ import annotations

import contextlib
import glob
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import SupportsIndex

from numapool.base import arguments
from numapool.base.errors import UnsupportedError
from numapool.machine.device_search import device_node
from numapool.processes.binding import existing, nodes_with_cpus, require_linux
from numapool.processes.rank_output import Output, RankOutput

_LOOK_S = 0.05
_DEVICES = "device:"
_NVIDIA = "/dev/nvidia"


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchResult:
    """How the ranks of a job ended.

    Attributes
    ----------
    statuses : tuple[int, ...]
        Of each rank, by rank: its exit status; 128 and the number of the signal that ended it.
    failed_rank : int or None
        The rank that failed first, for which the others were ended; None if none failed.
    restarts : int
        How often ranks were started again.
    """

    statuses: tuple[int, ...]
    failed_rank: int | None
    restarts: int

    @property
    def status(self) -> int:
        """The status of the job: of the rank that failed first, else 0."""
        return 0 if self.failed_rank is None else self.statuses[self.failed_rank]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a rank runs: a node, and the device that it is for."""

    node: int
    device: str | None = None


def launch(
    command: Sequence[str],
    *,
    per: str | Iterable[SupportsIndex] = "node",
    env: Mapping[str, str] | None = None,
    restarts: SupportsIndex = 0,
    each: bool = False,
    grace_s: float = 10.0,
    log_dir: arguments.PathLike | None = None,
) -> LaunchResult:
    """Start a program on each node as a rank of one job, and wait until all have ended.

    Each rank starts on its node as by ``numapool run --node``. Its output comes line by line, with
    the rank and the node in front. Rank 0 has this process's standard input, the others none. If a
    rank fails, the others are ended: SIGTERM, then SIGKILL. If this process is killed, the ranks
    are too.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    per : "node", "device:GLOB" or iterable of int
        One rank for each node with CPUs, for each device that the pattern matches
        (``"device:/dev/nvme*n1"``), on its node, or for each of these nodes.
    env : mapping, optional
        The environment; by default this process's. Ranks find in it ``RANK``, ``LOCAL_RANK``,
        ``WORLD_SIZE``, ``LOCAL_WORLD_SIZE``, ``NUMAPOOL_NODE``, ``NUMAPOOL_DEVICE`` if they are
        for a device, and, unless they are set, ``MASTER_ADDR`` and a free ``MASTER_PORT``; for an
        NVIDIA GPU (``/dev/nvidia0``) also ``CUDA_VISIBLE_DEVICES``.
    restarts : int
        How often failed ranks are started again: all together, as collective operations need it.
    each : bool
        Start only the failed rank again, as often as `restarts` says.
    grace_s : float
        Seconds between SIGTERM and SIGKILL.
    log_dir : str or path-like, optional
        A folder for the output of each rank, without the prefix: ``rank-0.log``.

    Returns
    -------
    LaunchResult

    Raises
    ------
    NodeNotFoundError
        The machine has no such node.
    ValueError
        There is no program, no node, or no device that the pattern matches.
    UnsupportedError
        The platform has no way.
    """
    require_linux()
    words = [arguments.text("each of command", one) for one in command]
    if not words:
        raise ValueError("command must name a program")
    job = _Job(
        words,
        places_of(per),
        dict(os.environ if env is None else env),
        arguments.wait("grace_s", grace_s),
        Output(None if log_dir is None else arguments.path("log_dir", log_dir)),
    )
    most = arguments.at_least("restarts", restarts, 0)
    return job.run(most, arguments.flag("each", each))


def places_of(per: str | Iterable[SupportsIndex]) -> list[Place]:
    """Return where the ranks are to run, in their order."""
    if not isinstance(per, str):
        places = [Place(node=node) for node in existing(arguments.nodes("per", per))]
        if not places:
            raise ValueError("per must name at least one node")
        return places
    if per == "node":
        return [Place(node=node) for node in nodes_with_cpus()]
    if not per.startswith(_DEVICES):
        raise ValueError(arguments.must_be("per", "'node', 'device:GLOB' or node ids", per))
    pattern = per.removeprefix(_DEVICES)
    devices = sorted(glob.glob(pattern))  # noqa: PTH207 - the pattern may be absolute
    if not devices:
        raise ValueError(f"no device matches {pattern}")
    return [Place(node=_node_of(one), device=one) for one in devices]


def _node_of(device: str) -> int:
    node = device_node(device)
    if node is None:
        raise UnsupportedError(
            f"the node of {device} is unknown ('numapool device {device}' shows why): name nodes "
            "instead"
        )
    return node


class _Job:
    """The ranks of a program, from their start to their end."""

    def __init__(
        self,
        command: list[str],
        places: list[Place],
        environment: dict[str, str],
        grace_s: float,
        output: Output,
    ) -> None:
        self._command = command
        self._places = places
        self._environment = environment
        self._grace_s = grace_s
        self._output = output
        self._ranks: list[subprocess.Popen[bytes]] = []
        self._streams: list[RankOutput] = []

    def run(self, restarts: int, each: bool) -> LaunchResult:
        """Start all, and return when all have ended."""
        used = 0
        left = [restarts] * len(self._places)
        with contextlib.closing(self._output):
            try:
                self._start_all()
                while True:
                    failed = self._wait_for_failure()
                    if failed is None or not left[failed]:
                        break
                    used += 1
                    if each:
                        left[failed] -= 1
                        self._start(failed, self._port)
                    else:
                        left = [one - 1 for one in left]
                        self._end_all()
                        self._start_all()
            except KeyboardInterrupt:
                # A terminal has sent it to the ranks as well: they may end by themselves.
                self._wait_until_ended()
                raise
            finally:
                self._end_all()
        statuses = tuple(_status(rank.returncode) for rank in self._ranks)
        return LaunchResult(statuses=statuses, failed_rank=failed, restarts=used)

    def _start_all(self) -> None:
        self._port = _free_port()
        for rank in range(len(self._places)):
            self._start(rank, self._port)

    def _start(self, rank: int, port: int) -> None:
        place = self._places[rank]
        # -P: a folder named numapool in the working directory is not this package.
        run = [sys.executable, "-P", "-m", "numapool", "run", f"--with-parent={os.getpid()}"]
        process = subprocess.Popen(
            [*run, "--node", str(place.node), "--", *self._command],
            env=self._variables(rank, port),
            stdin=None if rank == 0 else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        streams = RankOutput(process, rank, place.node, self._output)
        if rank < len(self._ranks):
            self._streams[rank].finish()
            self._ranks[rank], self._streams[rank] = process, streams
        else:
            self._ranks.append(process)
            self._streams.append(streams)

    def _variables(self, rank: int, port: int) -> dict[str, str]:
        place, count = self._places[rank], str(len(self._places))
        found = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **self._environment}
        found |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": count,
            "LOCAL_WORLD_SIZE": count,
            "NUMAPOOL_NODE": str(place.node),
        }
        if place.device is not None:
            found["NUMAPOOL_DEVICE"] = place.device
            gpu = place.device.removeprefix(_NVIDIA)
            if gpu.isdecimal():
                found |= {"CUDA_VISIBLE_DEVICES": gpu, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        return found

    def _wait_for_failure(self) -> int | None:
        """Pass output on until a rank fails, which is returned, or all have ended well."""
        while True:
            self._output.pass_on(self._streams, _LOOK_S)
            statuses = [rank.poll() for rank in self._ranks]
            for rank, status in enumerate(statuses):
                if status:
                    return rank
            if all(status == 0 for status in statuses):
                return None

    def _end_all(self) -> None:
        """End the ranks that still run, and pass on their output."""
        running = [rank for rank in self._ranks if rank.poll() is None]
        for rank in running:
            rank.terminate()
        self._wait_until_ended()
        for rank in running:
            if rank.poll() is None:
                rank.kill()
                rank.wait()
        for streams in self._streams:
            streams.finish()

    def _wait_until_ended(self) -> None:
        """Wait for all ranks, for the time of grace at most."""
        end = time.monotonic() + self._grace_s
        while any(rank.poll() is None for rank in self._ranks) and time.monotonic() < end:
            self._output.pass_on(self._streams, _LOOK_S)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _status(code: int | None) -> int:
    assert code is not None
    return 128 - code if code < 0 else code


def numbered(places: list[Place]) -> Iterator[str]:
    """Yield what a dry run shows: each rank with its node and device."""
    for rank, place in enumerate(places):
        device = f", {place.device}" if place.device else ""
        yield f"rank {rank}: node {place.node}{device}"

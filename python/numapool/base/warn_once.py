"""Tells once per cause that less was done than was asked for: in a warning, and to the log."""

from __future__ import annotations

import sys
import warnings

from numapool.base.errors import PlacementWarning
from numapool.base.locks import Rank, new_lock

_warned_causes: set[str] = set()
_warned_lock = new_lock(Rank.WARNED)


def warn_once(cause: str, message: str, stacklevel: int = 2) -> None:
    """Issue a :class:`PlacementWarning`, unless the cause was told before in this process.

    Parameters
    ----------
    cause : str
        What is told once; never shown.
    message : str
        What is told.
    stacklevel : int
        As for :func:`warnings.warn`, called in the caller's place.
    """
    with _warned_lock:
        if cause in _warned_causes:
            return
        _warned_causes.add(cause)
    if "logging" in sys.modules:  # otherwise no logger listens
        from numapool.base import logs

        logs.degraded(message)
    warnings.warn(message, PlacementWarning, stacklevel=stacklevel + 1)

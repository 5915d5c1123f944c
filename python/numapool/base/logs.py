"""The loggers of numapool, and the one for memory with less placement than was asked for.

Loaded only once a program that has loaded logging has something to be told. Nothing is logged where
a buffer is lent or given back.
"""

from __future__ import annotations

import logging

# Without a handler of the program's own nothing is printed, as libraries should have it.
logging.getLogger("numapool").addHandler(logging.NullHandler())


def logger(name: str) -> logging.Logger:
    """Return the logger ``numapool.<name>``."""
    return logging.getLogger(f"numapool.{name}")


_placement = logger("placement")


def degraded(message: str) -> None:
    """Log that memory was handed out with less placement than asked for; once per cause."""
    _placement.warning("%s", message)

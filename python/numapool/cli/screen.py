"""The screen that commands print on, and how wide it is."""

from __future__ import annotations

import os

from rich.console import Console

from numapool.cli.listing import NARROWEST, WIDEST, Listing, is_a_size

__all__ = ["NARROWEST", "WIDEST", "Listing", "can_draw_over", "make_console"]

_SIZES = ("COLUMNS", "LINES")


def make_console(*, stderr: bool = False) -> Console:
    """Return a console of a width that something can be printed in.

    A size of 0 in the environment is an unknown one, as it is to other programs; rich would print
    nothing then.
    """
    environment = {
        name: value for name, value in os.environ.items() if name not in _SIZES or is_a_size(value)
    }
    console = Console(stderr=stderr, _environ=environment)
    if not NARROWEST <= console.width <= WIDEST:
        console.width = min(max(console.width, NARROWEST), WIDEST)
    return console


def can_draw_over(console: Console) -> bool:
    """Whether printed text can be drawn over, as it can on a terminal that moves its cursor."""
    return console.is_terminal and not console.is_dumb_terminal

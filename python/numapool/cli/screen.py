"""The screen that commands print on, and how wide it is."""

from __future__ import annotations

import os

from rich.console import Console

from numapool.cli.listing import Listing

__all__ = ["NARROWEST", "WIDEST", "Listing", "can_draw_over", "make_console"]

#: Layouts are made for this width at least; a terminal that is narrower breaks their lines itself.
NARROWEST = 40
WIDEST = 1000
_SIZES = ("COLUMNS", "LINES")


def make_console(*, stderr: bool = False) -> Console:
    """Return a console of a width that something can be printed in.

    A size of 0 in the environment is an unknown one, as it is to other programs; rich would print
    nothing then.
    """
    environment = {
        name: value for name, value in os.environ.items() if name not in _SIZES or _is_a_size(value)
    }
    console = Console(stderr=stderr, _environ=environment)
    if not NARROWEST <= console.width <= WIDEST:
        console.width = min(max(console.width, NARROWEST), WIDEST)
    return console


def can_draw_over(console: Console) -> bool:
    """Whether printed text can be drawn over, as it can on a terminal that moves its cursor."""
    return console.is_terminal and not console.is_dumb_terminal


def _is_a_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0

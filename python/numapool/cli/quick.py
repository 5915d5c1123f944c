"""``numapool info`` without typer and rich, where neither is needed: they take longer than it does.

Where they are not installed, what is too wide for the screen is written as it is.
Whatever is not plain to read goes the usual way, so that there is one place that says what options
there are, and what is wrong with them: help, mistakes, repeated or shortened options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from numapool.cli.listing import WIDEST
from numapool.cli.plain import DoesNotFit, PlainScreen, plain_screen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def answered(arguments: list[str]) -> bool:
    """Answer a command line, given without the program's name; False: it must go the usual way.

    Nothing has been printed then.
    """
    asked = _read(arguments[1:]) if arguments[:1] == ["info"] else None
    if asked is None:
        return False
    place, as_json = asked
    screen = None if as_json else plain_screen()
    if screen is None and not as_json:
        return False
    from numapool.cli.info_view import document_of, show
    from numapool.cli.recorded import machine_of

    topology = machine_of(None if place is None else _path(place))
    if screen is None:
        import json

        print(json.dumps(document_of(topology, live=place is None), indent=2))
        return True
    for one in _screens(screen):
        try:
            show(one, topology, live=place is None)
        except DoesNotFit:
            continue
        one.write()
        return True
    return False


def _screens(plain: PlainScreen) -> Iterator[PlainScreen]:
    yield plain
    # A line too wide is better than none: what a machine has must not decide what to install.
    if not _has_rich():
        yield PlainScreen(WIDEST)


def _has_rich() -> bool:
    from importlib.util import find_spec

    return find_spec("rich") is not None and find_spec("typer") is not None


def _path(place: str) -> Path:
    from pathlib import Path

    return Path(place)


def _read(arguments: list[str]) -> tuple[str | None, bool] | None:
    """Return the place of a recorded machine and whether JSON is wanted; None: it is not plain."""
    place: str | None = None
    as_json = False
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument == "--json" and not as_json:
            as_json = True
        elif name == "--sysfs" and place is None:
            place = value if equals else next(rest, "")
            if not place or place.startswith("-"):
                return None
        else:
            return None
    return place, as_json

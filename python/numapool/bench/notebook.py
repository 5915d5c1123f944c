"""Shows in a notebook how far a run has come."""

from __future__ import annotations

import sys
from typing import Any

from numapool.base import html
from numapool.bench.clock import Progress


def notebook_progress() -> Progress | None:
    """Return what shows a bar that is drawn anew; None where no notebook runs this code."""
    ipython = sys.modules.get("IPython")
    shell: Any = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:  # IPython in a terminal has none
        return None
    from IPython.display import HTML, display

    handle = display(HTML(_bar("placing memory", 0.0, 0.0)), display_id=True)

    def show(what: str, share: float, left_s: float) -> None:
        handle.update(HTML(_bar(what, share, left_s)))

    return show


def _bar(what: str, share: float, left_s: float) -> str:
    minutes, seconds = divmod(round(left_s), 60)
    left = f" {share:.0%}, {minutes}:{seconds:02} left: " if share < 1 else " "
    return html.fragment(html.bar(share), left, html.note(what))

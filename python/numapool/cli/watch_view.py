"""The live view of ``numapool watch``, from the same dictionary that ``--json`` prints."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from numapool.cli.failure import one_line
from numapool.cli.format import size_text
from numapool.cli.screen import Listing
from numapool.pressure.policy import PressureEvent

_COLORS = {"NONE": "green", "MODERATE": "yellow", "CRITICAL": "red"}
_BAR = 16


def _bar(available: int, total: int, ascii_only: bool) -> Text:
    """Draw used memory in blocks, and available memory in dots."""
    used = round(_BAR * (1 - available / total)) if total else 0
    color = "green" if available > total / 10 else "yellow" if available > total / 50 else "red"
    full, empty = ("#", ".") if ascii_only else ("█", "·")
    return Text(full * used + empty * (_BAR - used), style=color)


def _head(state: dict[str, Any]) -> Text:
    reading, level = state["reading"], state["level"]
    clock = time.strftime("%H:%M:%S", time.localtime(state["time"]))
    text = Text.assemble(("memory pressure ", "bold"), (level, f"bold {_COLORS[level]}"))
    text.append(f"   {clock}", style="dim")
    if state["stall"] is not None:
        some, full = state["stall"]["some"], state["stall"]["full"]
        text.append(f"   stall: some {some:.1%}, full {full:.1%}")
    if reading and reading["available_bytes"] is not None:
        available, total = size_text(reading["available_bytes"]), size_text(reading["total_bytes"])
        text.append(f"\navailable {available} of {total}")
    if reading and reading["cgroup_limit_bytes"] is not None:
        needed, limit = reading["cgroup_needed_bytes"], reading["cgroup_limit_bytes"]
        text.append(f"   cgroup: {size_text(needed)} of {size_text(limit)}")
    if reading and reading["balloon_bytes"] is not None:
        text.append(f"   balloon {size_text(reading['balloon_bytes'])}")
    return text


def _nodes(reading: dict[str, Any], ascii_only: bool) -> Listing:
    table = Listing("node", "used", "memory", "free", "available", "reserve", left=(1,))
    for node in reading["nodes"]:
        table.add_row(
            str(node["node_id"]),
            _bar(node["available_bytes"], node["total_bytes"], ascii_only),
            size_text(node["total_bytes"]),
            size_text(node["free_bytes"]),
            size_text(node["available_bytes"]),
            size_text(node["reserve_bytes"]),
        )
    return table


def _sources(state: dict[str, Any]) -> Listing:
    table = Listing("source", "watched", "how, or why not", left=(0, 1, 2), folds={2: 24})
    for source in state["sources"]:
        how = "wakes" if source["wakes"] else "polled" if source["active"] else "no"
        style = "" if source["active"] else "dim"
        detail = "" if source["detail"] == "looked at" else source["detail"]
        table.add_row(source["name"], how, Text(detail), style=style)
    return table


def _pools(state: dict[str, Any]) -> RenderableType:
    if not state["pools"]:
        return Text(
            "No published pools. A program shows its pools here with numapool.publish_pools().",
            style="dim",
        )
    table = Listing(
        "process", "program", "pool", "in use", "retained", "trimmed", "hits", left=(0, 1, 2)
    )
    for process in state["pools"]:
        for pool in process["pools"]:
            total = pool["total"]
            requests = total["hits"] + total["misses"]
            table.add_row(
                str(process["pid"]),
                one_line(str(process["program"]))[:16],
                one_line(str(pool.get("name", "")))[:16],
                size_text(total["in_use_bytes"]),
                size_text(total["retained_bytes"]),
                size_text(total["trimmed_bytes"]),
                f"{total['hits'] / requests:.0%}" if requests else "-",
            )
    return table


def _events(recent: list[tuple[float, PressureEvent]]) -> RenderableType:
    if not recent:
        return Text("No event yet.", style="dim")
    table = Listing("began", "level", "source", "where", "demand", "stall", left=(0, 1, 2, 3))
    for began, event in reversed(recent):
        table.add_row(
            time.strftime("%H:%M:%S", time.localtime(began)),
            Text(event.level.name, style=_COLORS[event.level.name]),
            event.source,
            "machine" if event.node_id is None else f"node {event.node_id}",
            size_text(event.demand_bytes) if event.level else "ended",
            f"{event.stall_s * 1000:.0f} ms",
        )
    return table


def view(
    state: dict[str, Any], recent: list[tuple[float, PressureEvent]], *, ascii_only: bool
) -> Group:
    """Lay out one update.

    Parameters
    ----------
    state : dict
        As :func:`numapool.cli.watch.state_of` returns it.
    recent : list of (float, PressureEvent)
        The last events and when they began, oldest first.
    ascii_only : bool
        Draw with ASCII characters alone.
    """
    parts: list[RenderableType] = [_head(state), Text()]
    if state["reading"] and state["reading"]["nodes"]:
        parts += [_nodes(state["reading"], ascii_only), Text()]
    parts += [_sources(state), Text(), _pools(state), Text(), _events(recent)]
    return Group(*parts)

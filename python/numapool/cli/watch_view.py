"""The live view of ``numapool watch``, from the same dictionary that ``--json`` prints."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from numapool.cli.failure import one_line
from numapool.cli.format import size_text
from numapool.cli.screen import Listing
from numapool.cli.sparkline import History
from numapool.cli.watch_state import pool_rows, sort_processes
from numapool.pressure.policy import PressureEvent

_COLORS = {"NONE": "green", "MODERATE": "yellow", "CRITICAL": "red"}
_BAR = 16


def _bar(available: int, total: int, ascii_only: bool) -> Text:
    """Draw used memory in blocks, and available memory in dots."""
    used = round(_BAR * (1 - available / total)) if total else 0
    color = "green" if available > total / 10 else "yellow" if available > total / 50 else "red"
    full, empty = ("#", ".") if ascii_only else ("█", "·")
    return Text(full * used + empty * (_BAR - used), style=color)


def _head(state: dict[str, Any], history: History, ascii_only: bool) -> Text:
    reading, level = state["reading"], state["level"]
    clock = time.strftime("%H:%M:%S", time.localtime(state["time"]))
    text = Text.assemble(("memory pressure ", "bold"), (level, f"bold {_COLORS[level]}"))
    text.append(f"   {clock}", style="dim")
    if state["stall"] is not None:
        some, full = state["stall"]["some"], state["stall"]["full"]
        text.append(f"   stall: some {some:.1%}, full {full:.1%} ")
        text.append(history.line("stall", most=1.0, ascii_only=ascii_only), style="dim")
    if reading and reading["available_bytes"] is not None:
        available, total = size_text(reading["available_bytes"]), size_text(reading["total_bytes"])
        text.append(f"\navailable {available} of {total}")
    if reading and reading["cgroup_limit_bytes"] is not None:
        needed, limit = reading["cgroup_needed_bytes"], reading["cgroup_limit_bytes"]
        text.append(f"   cgroup: {size_text(needed)} of {size_text(limit)}")
    if reading and reading["balloon_bytes"] is not None:
        text.append(f"   balloon {size_text(reading['balloon_bytes'])}")
    return text


def _nodes(reading: dict[str, Any], history: History, ascii_only: bool) -> Listing:
    table = Listing("node", "used", "before", "memory", "free", "available", "reserve", left=(1, 2))
    for node in reading["nodes"]:
        table.add_row(
            str(node["node_id"]),
            _bar(node["available_bytes"], node["total_bytes"], ascii_only),
            Text(
                history.line(
                    ("node", node["node_id"]), most=node["total_bytes"], ascii_only=ascii_only
                )
            ),
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


def _pools(state: dict[str, Any], history: History, sort: str, ascii_only: bool) -> RenderableType:
    rows = pool_rows(state, sort)
    if not rows:
        whose = "of these processes" if state["processes"] else "published"
        return Text(
            f"No pools {whose}. A program shows its pools here with numapool.publish_pools().",
            style="dim",
        )
    table = Listing(
        "process", "program", "pool", "in use", "retained", "before", "trimmed", "hits",
        left=(0, 1, 2, 5),
    )  # fmt: skip
    for process, pool in rows:
        total = pool["total"]
        requests = total["hits"] + total["misses"]
        name = str(pool.get("name", ""))
        table.add_row(
            str(process["pid"]),
            Text(one_line(str(process["program"]))[:16]),
            Text(one_line(name)[:24]),
            size_text(total["in_use_bytes"]),
            size_text(total["retained_bytes"]),
            Text(history.line(("pool", process["pid"], name), ascii_only=ascii_only)),
            size_text(total["trimmed_bytes"]),
            f"{total['hits'] / requests:.0%}" if requests else "-",
        )
    return table


def _processes(
    state: dict[str, Any], history: History, sort: str, ascii_only: bool
) -> list[RenderableType]:
    found = sort_processes(state["processes"], sort)
    if not found:
        return [Text("The processes have ended.", style="dim")]
    nodes = sorted({node for one in found for node in one["bytes_by_node"]})
    table = Listing(
        "process", "program", *(f"node {node}" for node in nodes), "total", "before", "threads",
        "policy", "remote", left=(1, len(nodes) + 3, len(nodes) + 4, len(nodes) + 5),
        most={1: 16},
    )  # fmt: skip
    for one in found:
        threads = (f"{count} on {node}" for node, count in one["threads_by_node"].items())
        share = one["remote_share"]
        table.add_row(
            str(one["pid"]),
            Text(one_line(one["name"])),
            *(size_text(one["bytes_by_node"].get(node, 0)) for node in nodes),
            size_text(one["resident_bytes"]),
            Text(history.line(("process", one["pid"]), ascii_only=ascii_only)),
            ", ".join(threads) or "-",
            Text(one_line(one["policy"])),
            "-" if share is None else f"{share:.0%}",
        )
    parts: list[RenderableType] = [table]
    seen = {one["cgroup"]["path"]: one["cgroup"] for one in found if one["cgroup"]}
    if seen:
        parts += [Text(), _cgroups(list(seen.values()))]
    return parts


def _cgroups(cgroups: list[dict[str, Any]]) -> Listing:
    table = Listing("cgroup", "charged", "high", "max", "some", "full", folds={0: 12})

    def size(value: int | None, otherwise: str) -> str:
        return otherwise if value is None else size_text(value)

    for one in cgroups:
        stall = one["stall"]
        table.add_row(
            Text(one_line(one["path"])),
            size(one["current_bytes"], "-"),
            size(one["high_bytes"], "no limit"),
            size(one["max_bytes"], "no limit"),
            "-" if stall is None else f"{stall['some']:.1%}",
            "-" if stall is None else f"{stall['full']:.1%}",
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
    state: dict[str, Any],
    recent: list[tuple[float, PressureEvent]],
    *,
    ascii_only: bool,
    history: History,
    sort: str,
) -> Group:
    """Lay out one update.

    Parameters
    ----------
    state : dict
        As :meth:`numapool.cli.watch_state.Watched.update` returns it.
    recent : list of (float, PressureEvent)
        The last events and when they began, oldest first.
    ascii_only : bool
        Draw with ASCII characters alone.
    history : History
        What figures were before.
    sort : str
        One of watch_state.SORTS.
    """
    parts: list[RenderableType] = [_head(state, history, ascii_only), Text()]
    if state["reading"] and state["reading"]["nodes"]:
        parts += [_nodes(state["reading"], history, ascii_only), Text()]
    if state["watches_processes"]:
        parts += [*_processes(state, history, sort, ascii_only), Text()]
    else:
        parts += [_sources(state), Text()]
    parts += [_pools(state, history, sort, ascii_only), Text(), _events(recent)]
    return Group(*parts)

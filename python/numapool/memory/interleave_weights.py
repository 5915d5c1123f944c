"""Weights of nodes, as callers give them for memory that is spread over several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from numapool.base import arguments

Weights = Literal["system"] | Mapping[int, int]
_TAKES = "'system' or a mapping of node to weight"


def checked_weights(nodes: list[int], weights: Weights | None) -> tuple[list[int], list[int]]:
    """Return the nodes and their weights; no weights means the system's."""
    if weights is None or weights == "system":
        return nodes, []
    if isinstance(weights, str):
        raise ValueError(arguments.must_be("weights", _TAKES, weights))
    if not isinstance(weights, Mapping):
        raise TypeError(arguments.must_be("weights", _TAKES, weights))
    by_node = {
        arguments.node("each node of weights", node): arguments.integer(
            "each weight of weights", weight, "an integer from 1 to 255"
        )
        for node, weight in weights.items()
    }
    if not by_node or (nodes and set(nodes) != set(by_node)):
        raise ValueError(f"weights must name exactly the nodes {nodes}, not {sorted(by_node)}")
    for node, weight in by_node.items():
        # a u8 in the kernel: sysfs-kernel-mm-mempolicy-weighted-interleave
        if not 1 <= weight <= 255:
            raise ValueError(
                arguments.must_be(f"the weight of node {node} in weights", "from 1 to 255", weight)
            )
    nodes = sorted(by_node)
    return nodes, [by_node[node] for node in nodes]

"""Rows that are moved by one key to several places are moved once.

Two exchanges are one where they stand on one node, or on nodes that make keys by one function of
one node's rows, and write keys and values alike. Not where an operator behind one of them meets
another topic or exchange, whose partition count it may have to take over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from processors.topology.nodes.exchange import ExchangeNode
from processors.topology.nodes.stateless import MapKeyNode

if TYPE_CHECKING:
    from collections.abc import Hashable

    from processors.topology.nodes.node import Node
    from processors.topology.rules.shape import Shape


def merge_repartitions(shape: Shape) -> Shape:
    first: dict[Hashable, ExchangeNode] = {}
    replaced: dict[Node, Node] = {}
    for node in shape.nodes:
        if isinstance(node, ExchangeNode) and not _meets_others(shape, node):
            kept = first.setdefault(_likeness(shape, node), node)
            if kept is not node:
                replaced[node] = kept
    merged = shape.without(replaced)
    return _without_idle_keys(merged, [shape.parents[node][0] for node in replaced])


def _likeness(shape: Shape, node: ExchangeNode) -> Hashable:
    """Equal for exchanges that move the same rows alike."""
    parent = shape.parents[node][0]
    source: tuple[Any, ...] = (parent,)
    if isinstance(parent, MapKeyNode):
        source = (parent.function, shape.parents[parent])
    return (
        type(node),
        source,
        node.key,
        node.value,
        node.partitions,
        node.always,
        node.null_keys,
        node.null_values,
        node.partitioner,
    )


def _meets_others(shape: Shape, exchange: ExchangeNode) -> bool:
    """Whether an operator that needs all rows of a key has other inputs beside this one."""
    behind: set[Node] = {exchange}
    for node in shape.nodes:
        parents = shape.parents[node]
        if isinstance(node, ExchangeNode) or not behind.intersection(parents):
            continue
        behind.add(node)
        if not behind.issuperset(parents):
            return True
    return False


def _without_idle_keys(shape: Shape, nodes: list[Node]) -> Shape:
    """Without the nodes that made keys for an exchange that is gone, if nobody else reads them."""
    read = {parent for parents in shape.parents.values() for parent in parents}
    idle: dict[Node, Node] = {
        node: shape.parents[node][0]
        for node in nodes
        if isinstance(node, MapKeyNode) and node not in read
    }
    return shape.without(idle)

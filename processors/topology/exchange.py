"""The rewrite rule of repartitioning: which groupings become exchanges.

An operator that changes keys leaves rows in the wrong task for the new key. Nothing is done about
it until somebody needs rows of one key in one task: a grouping below a changed key becomes an
exchange, any other vanishes, unless it was asked for by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.topology.nodes.exchange import ExchangeNode

if TYPE_CHECKING:
    from processors.topology.graph import Graph
    from processors.topology.nodes.node import Node


def choose_exchanges(graph: Graph) -> set[ExchangeNode]:
    """The groupings that must repartition."""
    return {
        node
        for node in graph.nodes
        if isinstance(node, ExchangeNode) and (node.always or _is_key_changed(node.parents[0]))
    }


def _is_key_changed(node: Node) -> bool:
    """Whether rows of this node may stand in another task than the one of their key."""
    if node.placement == "kept":
        return any(map(_is_key_changed, node.parents))
    return node.placement == "changed"


def effective_parents(node: Node, exchanges: set[ExchangeNode]) -> tuple[Node, ...]:
    """The node's parents, each vanished grouping replaced by what it stood on."""
    return tuple(_effective(parent, exchanges) for parent in node.parents)


def _effective(node: Node, exchanges: set[ExchangeNode]) -> Node:
    if isinstance(node, ExchangeNode) and node not in exchanges:
        return _effective(node.parents[0], exchanges)
    return node

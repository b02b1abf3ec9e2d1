"""The rewrite rule of repartitioning: which groupings become exchanges.

An operator that changes keys leaves rows in the wrong task for the new key. Nothing is done about
it until somebody needs rows of one key in one task: a grouping below a changed key becomes an
exchange, any other vanishes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.topology.graph import GroupNode, KeyedNode, MapKeyNode, SourceNode

if TYPE_CHECKING:
    from processors.topology.graph import Graph, Node


def choose_exchanges(graph: Graph) -> set[GroupNode]:
    """The groupings that must repartition."""
    return {
        node
        for node in graph.nodes
        if isinstance(node, GroupNode) and _is_key_changed(node.parents[0])
    }


def _is_key_changed(node: Node) -> bool:
    """Whether rows of this node may stand in another task than the one of their key."""
    if isinstance(node, MapKeyNode):
        return True
    if isinstance(node, SourceNode | KeyedNode):
        return False
    return any(map(_is_key_changed, node.parents))


def effective_parents(node: Node, exchanges: set[GroupNode]) -> tuple[Node, ...]:
    """The node's parents, with those of a vanished grouping in its place."""
    found: list[Node] = []
    for parent in node.parents:
        if isinstance(parent, GroupNode) and parent not in exchanges:
            found.extend(effective_parents(parent, exchanges))
        else:
            found.append(parent)
    return tuple(found)

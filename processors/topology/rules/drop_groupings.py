"""Groupings that move nothing vanish.

An operator that changes keys leaves rows in the wrong task for the new key. Nothing is done about
it until somebody needs rows of one key in one task: a grouping below a changed key becomes an
exchange, any other vanishes, unless it was asked for by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.topology.nodes.exchange import ExchangeNode

if TYPE_CHECKING:
    from processors.topology.nodes.node import Node
    from processors.topology.rules.shape import Shape


def drop_groupings(shape: Shape) -> Shape:
    return shape.without(
        {
            node: shape.parents[node][0]
            for node in shape.nodes
            if isinstance(node, ExchangeNode)
            and not node.always
            and not _is_key_changed(shape, shape.parents[node][0])
        }
    )


def _is_key_changed(shape: Shape, node: Node) -> bool:
    """Whether rows of this node may stand in another task than the one of their key."""
    if node.placement == "kept":
        return any(_is_key_changed(shape, parent) for parent in shape.parents[node])
    return node.placement == "changed"

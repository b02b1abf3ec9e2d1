"""A stream that is joined with itself keeps its rows once.

The rule marks joins both sides of which are the same rows, kept alike, and has both stand on one
exchange. Each row is then first one of the left side and then one of the right, over one store.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from processors.topology.nodes.exchange import ExchangeNode
from processors.topology.nodes.join import StreamJoinNode

if TYPE_CHECKING:
    from processors.topology.nodes.node import Node
    from processors.topology.rules.shape import Shape


def single_store_self_joins(shape: Shape) -> Shape:
    marked: set[Node] = set()
    replaced: dict[Node, Node] = {}
    for node in shape.nodes:
        if isinstance(node, StreamJoinNode) and node.keeps_alike:
            left, right = shape.parents[node]
            if left is right:
                marked.add(node)
            elif _is_alike(shape, left, right):
                marked.add(node)
                replaced[right] = left
    return replace(shape.without(replaced), single=shape.single | marked)


def _is_alike(shape: Shape, left: Node, right: Node) -> bool:
    """Whether two exchanges, which no other operator reads, move the same rows."""
    return (
        isinstance(left, ExchangeNode)
        and isinstance(right, ExchangeNode)
        and shape.parents[left] == shape.parents[right]
        and (left.key, left.value) == (right.key, right.value)
    )

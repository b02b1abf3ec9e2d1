"""Rows that a filter drops are dropped before they change tasks.

A filter directly behind an exchange, or behind a merge of exchanges, runs at their sending ends: on
what they hand over, so that it sees the same values, and none with a null that the exchange leaves
out. Rows that come through the topic meet it where they are received.

It goes no further up. Above stand functions of the user's, and which of two functions sees a row
first decides which error there is, or whether there is one at all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from processors.topology.nodes.exchange import ExchangeNode
from processors.topology.nodes.stateless import FilterNode, FilterNotNode, MergeNode

if TYPE_CHECKING:
    from processors.topology.nodes.node import Node
    from processors.topology.rules.shape import Shape


def push_filters(shape: Shape) -> Shape:
    children = {
        node: [each for each in shape.nodes if node in shape.parents[each]] for node in shape.nodes
    }
    pushed: dict[Node, tuple[Node, ...]] = dict(shape.pushed)
    gone: dict[Node, Node] = {}
    for node in shape.nodes:
        if isinstance(node, FilterNode | FilterNotNode):
            (above,) = shape.parents[node]
            while above in gone:
                above = gone[above]
            exchanges = _exchanges(shape, children, above)
            if exchanges:
                gone[node] = above
                children[above] = children[node]
                for exchange in exchanges:
                    pushed[exchange] = (*pushed.get(exchange, ()), node)
    return replace(shape.without(gone), pushed=pushed)


def _exchanges(shape: Shape, children: dict[Node, list[Node]], above: Node) -> list[Node]:
    """The exchanges whose rows, all of them, go to the child of this node and nowhere else."""
    if len(children[above]) != 1:
        return []
    if isinstance(above, ExchangeNode):
        return [above] if above.partitioner is None else []
    if not isinstance(above, MergeNode):
        return []
    found = [_exchanges(shape, children, parent) for parent in shape.parents[above]]
    exchanges = [each for group in found for each in group]
    once = len(set(exchanges)) == len(exchanges)  # merged with itself, a row is asked for twice
    return exchanges if all(found) and once else []

"""What rewrite rules work on: which nodes there are, and what stands on what."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from processors.topology.graph import Graph
    from processors.topology.nodes.node import Node


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A graph under rewriting. Nodes stay as they were written; only edges change.

    Attributes:
        nodes: In an order in which parents come first.
        parents: Those that a node reads from now.
        reusing: Tables whose topic may stand in for their changelog.
        single: Joins of a stream with itself that have one store.
        pushed: The filters that run where an exchange sends.
    """

    nodes: tuple[Node, ...]
    parents: Mapping[Node, tuple[Node, ...]]
    reusing: frozenset[Node] = frozenset()
    single: frozenset[Node] = frozenset()
    pushed: Mapping[Node, tuple[Node, ...]] = field(
        default_factory=dict["Node", "tuple[Node, ...]"]
    )

    def without(self, replaced: Mapping[Node, Node]) -> Shape:
        """Some nodes gone; who stood on one stands on its replacement, which may be gone too."""

        def find(node: Node) -> Node:
            while node in replaced:
                node = replaced[node]
            return node

        nodes = tuple(node for node in self.nodes if node not in replaced)
        parents = {node: tuple(map(find, self.parents[node])) for node in nodes}
        return replace(self, nodes=nodes, parents=parents)

    def needed(self, ends: Iterable[Node]) -> set[Node]:
        """These nodes and all that stands above them."""
        found: set[Node] = set()
        waiting = list(ends)
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting += self.parents[node]
        return found


def shape_of(graph: Graph) -> Shape:
    return Shape(nodes=tuple(graph.nodes), parents={node: node.parents for node in graph.nodes})

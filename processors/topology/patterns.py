"""Sources that take all topics that match a pattern: found when the application is compiled."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from processors.errors import TopologyError
from processors.topology.nodes.endpoint import PatternNode, SourceNode
from processors.topology.rules.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from processors.topology.graph import Graph
    from processors.topology.nodes.node import Node
    from processors.topology.rules.shape import Shape


def has_patterns(graph: Graph) -> bool:
    return any(isinstance(node, PatternNode) for node in graph.nodes)


def find_topics(shape: Shape, topics: Iterable[str] | None) -> Shape:
    """The shape with a source for every topic that matches a pattern and has none yet.

    Without `topics` there is one source a pattern, which has the pattern for its name: a drawing.
    """
    sources = {node.topic: node for node in shape.nodes if isinstance(node, SourceNode)}
    nodes: list[Node] = []
    parents = dict(shape.parents)
    known = None if topics is None else sorted(topics)
    for node in shape.nodes:
        if isinstance(node, PatternNode):
            above = [_source(node, topic, sources, nodes) for topic in _matching(node, known)]
            parents |= dict.fromkeys(above, ())
            parents[node] = tuple(above)
        if node not in nodes:
            nodes.append(node)
    return replace(shape, nodes=tuple(nodes), parents=parents)


def _source(
    node: PatternNode, topic: str, sources: dict[str, SourceNode], nodes: list[Node]
) -> SourceNode:
    found = sources.get(topic)
    if found is None:
        found = SourceNode(
            path=f"{node.path}.{topic}", topic=topic, pattern=node.pattern, **node.options
        )
        sources[topic] = found
    if found not in nodes:
        nodes.append(found)
    return found


def _matching(node: PatternNode, topics: list[str] | None) -> list[str]:
    if topics is None:
        return [node.pattern]
    matching = [topic for topic in topics if re.fullmatch(node.pattern, topic)]
    if not matching:
        raise TopologyError(
            f"{node.path}: no topic matches {node.pattern!r}; make one before the application "
            "starts"
        )
    return matching

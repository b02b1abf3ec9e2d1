"""Tables that every task sees whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from processors.dsl.arguments import check_topic, chosen_serde
from processors.errors import TopologyError
from processors.topology.nodes.global_table import GlobalSourceNode, GlobalTableNode

if TYPE_CHECKING:
    from processors.topology.graph import Graph

K = TypeVar("K")
V = TypeVar("V")


class GlobalTable(Generic[K, V]):
    """The last value of each key of a topic, in all its partitions: for `Stream.join`.

    Made by `App.global_table`, which has the example.
    """

    def __init__(self, graph: Graph, node: GlobalTableNode) -> None:
        self._graph = graph
        self._node = node

    @property
    def graph(self) -> Graph:
        """That of its application."""
        return self._graph

    @property
    def node(self) -> GlobalTableNode:
        """What it is in the graph."""
        return self._node


def read_global_table(
    graph: Graph, topic: str, key: Any, value: Any, *, name: str | None
) -> GlobalTable[Any, Any]:
    """Adds the topic and its table; a topic is one global table."""
    check_topic("a global table", topic)
    if graph.source(topic) is not None:
        raise TopologyError(
            f"topic {topic!r} is read already: a global table reads its topic alone, ahead of all "
            "others; ask for it once"
        )
    source = GlobalSourceNode(
        path=graph.stable_path("", topic, topic),
        topic=topic,
        key=chosen_serde(f"global table {topic!r}: key", key),
        value=chosen_serde(f"global table {topic!r}: value", value),
    )
    graph.add(source)
    node = GlobalTableNode(
        path=graph.stable_path(topic, "global_table", name),
        parents=(source,),
        key=source.key,
        value=source.value,
    )
    graph.add(node)
    return GlobalTable(graph, node)

"""The compiled graph: sub-topologies, cut where rows change tasks, and levels, which say when.

    lines ─ flat_map ─ key ─┤ exchange ├─ count ─ to
    └── sub-topology 0 ──┘               └─ 1 ──┘
           level 0                        level 1

A sub-topology is what hangs together when the exchanges are cut out. It has a task a partition.

A node's level is the number of exchanges before it, on the longest way. Work goes level by level,
so that senders have sent before receivers run. It is the levels that order the work and not the
sub-topologies: one may receive from itself, where a result is grouped again and then meets itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from processors.topology.columns import choose_columns
from processors.topology.nodes.endpoint import SinkNode, SourceNode
from processors.topology.nodes.exchange import ExchangeNode
from processors.topology.nodes.join import single_stores
from processors.topology.patterns import find_topics
from processors.topology.rules import RULES
from processors.topology.rules.shape import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from processors.topology.graph import Graph
    from processors.topology.nodes.node import Node, StoreDeclaration
    from processors.topology.reads import Reads

Entry = SourceNode | ExchangeNode
"""Where rows come into a sub-topology: a topic, or the receiving end of an exchange."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SubTopology:
    """Nodes that run together. Its name is the path of the first of its entries.

    Attributes:
        entries: Where rows come in.
        nodes: All others in an order in which parents come first, sending ends of exchanges
            included.
        stores: What its nodes keep.
    """

    index: int
    name: str
    entries: tuple[Entry, ...]
    nodes: tuple[Node, ...]
    stores: Mapping[Node, tuple[StoreDeclaration, ...]]

    @property
    def is_everywhere(self) -> bool:
        """Whether it is a table that all tasks look up."""
        return any(node.everywhere for node in self.nodes)

    @property
    def sources(self) -> tuple[SourceNode, ...]:
        return tuple(entry for entry in self.entries if isinstance(entry, SourceNode))

    @property
    def sinks(self) -> tuple[SinkNode, ...]:
        return tuple(node for node in self.nodes if isinstance(node, SinkNode))

    @property
    def receives(self) -> tuple[ExchangeNode, ...]:
        """The exchanges that it receives from."""
        return tuple(entry for entry in self.entries if isinstance(entry, ExchangeNode))

    @property
    def sends(self) -> tuple[ExchangeNode, ...]:
        """The exchanges that it sends to."""
        return tuple(node for node in self.nodes if isinstance(node, ExchangeNode))


@dataclass(frozen=True, eq=False, kw_only=True)
class Topology:
    """A compiled graph.

    Attributes:
        places: The place of each node in the graph as written, by path.
        subtopologies: By their lowest level, then as they were written.
        levels: The number of exchanges before each node; of an exchange, at its receiving end.
        parents, children: The edges, with groupings that need no exchange left out.
        reads: What is read of each node's rows; for an exchange, what it must carry.
        reusing: Tables whose topic may stand in for their changelog.
        single: Joins of a stream with itself that have one store.
        pushed: The filters that run where an exchange sends, or where its topic is received.
    """

    application: str
    places: Mapping[str, int]
    subtopologies: tuple[SubTopology, ...]
    parents: Mapping[Node, tuple[Node, ...]]
    children: Mapping[Node, tuple[Node, ...]]
    reads: Mapping[Node, Reads]
    levels: Mapping[Node, int]
    reusing: frozenset[Node] = frozenset()
    single: frozenset[Node] = frozenset()
    pushed: Mapping[Node, tuple[Node, ...]] = field(
        default_factory=dict["Node", "tuple[Node, ...]"]
    )

    @property
    def reusable(self) -> dict[str, str]:
        """The stores that may be restored from a source topic, and that topic."""
        return {
            store.name: source.topic
            for sub in self.subtopologies
            for node, stores in sub.stores.items()
            for store in stores
            if node in self.reusing and isinstance(source := self.parents[node][0], SourceNode)
        }

    @property
    def sources(self) -> list[SourceNode]:
        return [source for sub in self.subtopologies for source in sub.sources]

    @property
    def topics(self) -> list[SourceNode]:
        """The sources that are topics of the log."""
        return [source for source in self.sources if source.in_log]

    @property
    def sinks(self) -> list[SinkNode]:
        return [sink for sub in self.subtopologies for sink in sub.sinks]

    @property
    def exchanges(self) -> list[ExchangeNode]:
        return [node for sub in self.subtopologies for node in sub.receives]

    def changelog_topic(self, store: str) -> str:
        return f"{self.application}-{store}-changelog"

    def repartition_topic(self, exchange: ExchangeNode) -> str:
        return f"{self.application}-{exchange.path}-repartition"


def compile_graph(
    graph: Graph,
    application: str,
    rules: Sequence[str] = tuple(RULES),
    topics: Iterable[str] | None = None,
) -> Topology:
    """Applies the rewrite rules of these names and cuts the graph.

    Args:
        topics: Those that there are, for the sources that take all that match a pattern; without
            them, such a source stands for itself.

    Raises:
        TopologyError: none of the topics matches.
    """
    shape = find_topics(shape_of(graph), topics)
    places = {node.path: place for place, node in enumerate(shape.nodes)}
    for name in RULES:
        if name in rules:
            shape = RULES[name](shape)
    nodes, parents = shape.nodes, shape.parents
    children = {node: tuple(other for other in nodes if node in parents[other]) for node in nodes}
    levels: dict[Node, int] = {}
    for node in nodes:
        above = max((levels[parent] for parent in parents[node]), default=0)
        levels[node] = above + isinstance(node, ExchangeNode)
    reads = choose_columns(nodes, parents, children, shape.pushed)
    stores = {
        node: single_stores(node) if node in shape.single else node.stores(reads[node])
        for node in nodes
    }
    subtopologies = _cut(nodes, parents, levels, stores)
    return Topology(
        application=application,
        places=places,
        subtopologies=subtopologies,
        parents=parents,
        children=children,
        reads=reads,
        levels=levels,
        reusing=shape.reusing,
        single=shape.single,
        pushed=shape.pushed,
    )


def _cut(
    nodes: Sequence[Node],
    parents: Mapping[Node, tuple[Node, ...]],
    levels: Mapping[Node, int],
    stores: Mapping[Node, tuple[StoreDeclaration, ...]],
) -> tuple[SubTopology, ...]:
    component = _components(nodes, parents)
    lowest: dict[int, int] = {}
    for node in nodes:
        number = component[node]
        lowest[number] = min(levels[node], lowest.get(number, levels[node]))
    order = sorted(lowest, key=lambda number: (lowest[number], number))
    return tuple(
        _subtopology(
            index, [node for node in nodes if component[node] == number], nodes, parents, stores
        )
        for index, number in enumerate(order)
    )


def _components(nodes: Sequence[Node], parents: Mapping[Node, tuple[Node, ...]]) -> dict[Node, int]:
    """The number of the component of every node: the place of its first node in the graph.

    An exchange belongs to the component that receives.
    """
    component: dict[Node, int] = {}
    for place, node in enumerate(nodes):
        above = () if isinstance(node, ExchangeNode) else parents[node]
        met = {component[parent] for parent in above}
        number = min(met, default=place)
        component[node] = number
        for other, theirs in component.items():
            if theirs in met:
                component[other] = number
    return component


def _subtopology(
    index: int,
    mine: Sequence[Node],
    nodes: Sequence[Node],
    parents: Mapping[Node, tuple[Node, ...]],
    stores: Mapping[Node, tuple[StoreDeclaration, ...]],
) -> SubTopology:
    entries = tuple(node for node in mine if isinstance(node, SourceNode | ExchangeNode))
    inside = set(mine)
    steps = [
        node
        for node in nodes
        if (node in inside and node not in entries)
        or (isinstance(node, ExchangeNode) and parents[node][0] in inside)
    ]
    return SubTopology(
        index=index,
        name=entries[0].path,
        entries=entries,
        nodes=tuple(steps),
        stores={node: stores[node] for node in mine if stores[node]},
    )

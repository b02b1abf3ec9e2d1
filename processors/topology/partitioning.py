"""A topology and the partition counts of its topics: how many tasks, and whether keys meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from processors.errors import CopartitionError, TopologyError
from processors.topology.nodes.endpoint import SourceNode
from processors.topology.nodes.exchange import ExchangeNode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from processors.topology.nodes.node import Layout, Node
    from processors.topology.subtopology import Entry, SubTopology, Topology
    from streamlog.serdes import Serde


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreSpec:
    """A store of the topology: one instance and one changelog partition a task.

    Attributes:
        is_source: The changelog is a topic that the table reads, and nothing is written to it.
    """

    name: str
    kind: str
    key: Serde[Any]
    value: Serde[Any]
    changelog: str
    partitions: int
    layout: Layout = "keyed"
    is_source: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class PartitionedTopology:
    """What a worker builds tasks from.

    Attributes:
        tasks: The number of tasks of each sub-topology: the most partitions of its entries.
        partitions: The partition count of every entry: topics and exchanges.
        node_partitions: That of every node in which keys meet; the tasks of its sub-topology may
            be more.
        reused: The stores whose source topic is their changelog.
    """

    topology: Topology
    tasks: tuple[int, ...]
    partitions: Mapping[Entry, int]
    node_partitions: Mapping[Node, int]
    reused: frozenset[str] = frozenset()

    def runs_as_one(self, sub: SubTopology) -> bool:
        """Whether one instance may run all its partitions that a worker has.

        So it is where no keys meet: nothing has to be kept apart. And where all rows come by
        exchanges with one partition count, and nothing depends on what else its task sees: then
        the key alone says whose entry it is.
        """
        if sub.is_everywhere:
            return True
        if any(node.per_task for node in sub.nodes):
            return False
        counts = {self.partitions[entry] for entry in sub.entries}
        if any(exchange.partitioner is not None for exchange in sub.receives):
            return False  # only the user's function knows whose entry a key is
        met = sub.stores or any(node.meets for node in sub.nodes)
        return not met or (not sub.sources and len(counts) == 1)

    @property
    def stores(self) -> list[StoreSpec]:
        return [
            StoreSpec(
                name=store.name,
                kind=store.kind,
                key=store.key,
                value=store.value,
                changelog=self._changelog(store.name),
                partitions=1 if node.everywhere else self.node_partitions[node],
                layout=store.layout,
                is_source=store.name in self.reused,
            )
            for sub in self.topology.subtopologies
            for node, stores in sub.stores.items()
            for store in stores
        ]

    def _changelog(self, store: str) -> str:
        if store in self.reused:
            return self.topology.reusable[store]
        return self.topology.changelog_topic(store)

    @property
    def repartition_topics(self) -> dict[str, int]:
        """The topics behind the exchanges and their partition counts."""
        topology = self.topology
        return {
            topology.repartition_topic(node): self.partitions[node] for node in topology.exchanges
        }

    @property
    def sink_topics(self) -> dict[str, int]:
        """The partition counts with which sink topics are created where they do not exist."""
        counts: dict[str, int] = {}
        for sub in self.topology.subtopologies:
            for sink in sub.sinks:
                wanted = sink.partitions
                for topic in sink.topics:
                    if wanted is None:
                        counts.setdefault(topic, self.tasks[sub.index])
                    elif counts.setdefault(topic, wanted) != wanted:
                        raise TopologyError(
                            f"{sink.path}: topic {topic!r} is asked for with {wanted} and with "
                            f"{counts[topic]} partitions"
                        )
        return counts


def choose_partitions(
    topology: Topology, counts: Mapping[str, int], *, reused: frozenset[str] = frozenset()
) -> PartitionedTopology:
    """Settles the partition counts of exchanges and tasks.

    An exchange has the partition count that was asked for, else that of the topics it meets in an
    operator with state, else that of the topics and exchanges that send to it.

    Args:
        counts: The partition count of every source topic.
        reused: The stores whose source topic is their changelog.

    Raises:
        CopartitionError: topics that meet in an operator with state differ in partitions.
    """
    partitions: dict[Entry, int] = {
        source: counts[source.topic] if source.in_log else 1 for source in topology.sources
    }
    for exchange in topology.exchanges:
        if exchange.partitions is not None:
            partitions[exchange] = exchange.partitions
    origins = _origins(topology)
    meetings = [
        (node, origins[node])
        for sub in topology.subtopologies
        for node in (*sub.entries, *sub.nodes)
        if (node.meets or node in sub.stores) and node in origins
    ]
    _agree(topology, meetings, partitions)
    for exchange in sorted(topology.exchanges, key=topology.levels.__getitem__):
        if exchange not in partitions:
            partitions[exchange] = _default(topology, exchange, origins, meetings, partitions)
            _agree(topology, meetings, partitions)
    tasks = [max(partitions[entry] for entry in sub.entries) for sub in topology.subtopologies]
    return PartitionedTopology(
        topology=topology,
        tasks=tuple(tasks),
        partitions=partitions,
        node_partitions={node: max(map(partitions.__getitem__, met)) for node, met in meetings},
        reused=reused,
    )


def _origins(topology: Topology) -> dict[Node, set[Entry]]:
    """The entries whose rows each node sees; an exchange is an entry, and hides what is above."""
    origins: dict[Node, set[Entry]] = {}
    for node, parents in topology.parents.items():
        if isinstance(node, SourceNode | ExchangeNode):
            origins[node] = {node}
        else:
            origins[node] = set().union(*(origins[parent] for parent in parents))
    return origins


def _default(
    topology: Topology,
    exchange: ExchangeNode,
    origins: Mapping[Node, set[Entry]],
    meetings: Sequence[tuple[Node, set[Entry]]],
    partitions: Mapping[Entry, int],
) -> int:
    """The most partitions of what sends, to this exchange or to one that meets it."""
    together = {exchange}.union(*(meeting for _, meeting in meetings if exchange in meeting))
    senders = [origins[topology.parents[entry][0]] for entry in together if entry.parents]
    return max(partitions[entry] for sent in senders for entry in sent if entry in partitions)


def _agree(
    topology: Topology,
    meetings: Sequence[tuple[Node, set[Entry]]],
    partitions: dict[Entry, int],
) -> None:
    """Checks that counts which meet are equal, and gives them to exchanges that have none yet."""
    for _ in meetings:  # a count may travel from meeting to meeting
        for node, meeting in meetings:
            settled = {entry: partitions[entry] for entry in meeting if entry in partitions}
            if len(set(settled.values())) > 1:
                named = {_topic(topology, entry): count for entry, count in settled.items()}
                raise CopartitionError(node.said, dict(sorted(named.items())))
            if settled:
                partitions.update(dict.fromkeys(meeting, next(iter(settled.values()))))


def _topic(topology: Topology, entry: Entry) -> str:
    return entry.topic if isinstance(entry, SourceNode) else topology.repartition_topic(entry)

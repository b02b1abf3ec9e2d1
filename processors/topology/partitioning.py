"""A topology and the partition counts of its topics: how many tasks, and whether keys meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from processors.errors import CopartitionError, TopologyError
from processors.topology.graph import KeyedNode, Node, SourceNode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from processors.topology.graph import GroupNode
    from processors.topology.subtopology import Entry, SubTopology, Topology
    from streamlog.serdes import Serde


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreSpec:
    """A store of the topology: one instance and one changelog partition a task."""

    name: str
    kind: str
    key: Serde[Any]
    value: Serde[Any]
    changelog: str
    partitions: int


@dataclass(frozen=True, eq=False, kw_only=True)
class PartitionedTopology:
    """What a worker builds tasks from.

    Attributes:
        tasks: The number of tasks of each sub-topology: the most partitions of its entries.
        partitions: The partition count of every entry: topics and exchanges.
    """

    topology: Topology
    tasks: tuple[int, ...]
    partitions: Mapping[Entry, int]

    @property
    def stores(self) -> list[StoreSpec]:
        return [
            StoreSpec(
                name=node.path,
                kind=node.kind,
                key=node.key,
                value=node.value,
                changelog=self.topology.changelog_topic(node.path),
                partitions=self.tasks[sub.index],
            )
            for sub in self.topology.subtopologies
            for node in sub.stores
        ]

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
                if wanted is None:
                    counts.setdefault(sink.topic, self.tasks[sub.index])
                elif counts.setdefault(sink.topic, wanted) != wanted:
                    raise TopologyError(
                        f"{sink.path}: topic {sink.topic!r} is asked for with {wanted} and with "
                        f"{counts[sink.topic]} partitions"
                    )
        return counts


def choose_partitions(topology: Topology, counts: Mapping[str, int]) -> PartitionedTopology:
    """Settles the partition counts of exchanges and tasks.

    An exchange has the partition count that was asked for, else that of the topics it meets in an
    operator with state, else that of the sub-topology that sends to it.

    Args:
        counts: The partition count of every source topic.

    Raises:
        CopartitionError: topics that meet in an operator with state differ in partitions.
    """
    partitions: dict[Entry, int] = {}
    tasks: list[int] = []
    senders = {node: sub.index for sub in topology.subtopologies for node in sub.sends}
    for sub in topology.subtopologies:
        for source in sub.sources:
            partitions[source] = counts[source.topic]
        for exchange in sub.receives:
            if exchange.partitions is not None:
                partitions[exchange] = exchange.partitions
        _settle(topology, sub, partitions, {node: tasks[senders[node]] for node in sub.receives})
        tasks.append(max(partitions[entry] for entry in sub.entries))
    return PartitionedTopology(topology=topology, tasks=tuple(tasks), partitions=partitions)


def _settle(
    topology: Topology,
    sub: SubTopology,
    partitions: dict[Entry, int],
    defaults: Mapping[GroupNode, int],
) -> None:
    """Gives every exchange of a sub-topology its count and checks that counts agree."""
    meetings = sorted(_meetings(topology, sub), key=lambda meeting: -len(meeting[1]))
    for _ in meetings:  # a count may travel from meeting to meeting
        for node, meeting in meetings:
            _agree(topology, node, meeting, partitions)
    for node, meeting in meetings:
        _agree(topology, node, meeting, partitions)
        unsettled = [entry for entry in defaults if entry in meeting and entry not in partitions]
        for entry in unsettled:
            partitions[entry] = max(defaults[other] for other in unsettled)


def _meetings(topology: Topology, sub: SubTopology) -> list[tuple[Node, set[Entry]]]:
    """Every operator with state, and the entries whose rows it sees."""
    seen: dict[Node, set[Entry]] = {entry: {entry} for entry in sub.entries}
    for node in sub.nodes:
        seen[node] = set().union(*(seen[parent] for parent in topology.parents[node]))
    return [(node, seen[node]) for node in sub.nodes if isinstance(node, KeyedNode)]


def _agree(
    topology: Topology, node: Node, meeting: set[Entry], partitions: dict[Entry, int]
) -> None:
    """Checks the counts that are settled and gives theirs to the entries that have none."""
    settled = {entry: partitions[entry] for entry in meeting if entry in partitions}
    if len(set(settled.values())) > 1:
        named = {_topic(topology, entry): count for entry, count in settled.items()}
        raise CopartitionError(node.path, dict(sorted(named.items())))
    for entry in meeting:
        if settled:
            partitions[entry] = next(iter(settled.values()))


def _topic(topology: Topology, entry: Entry) -> str:
    return entry.topic if isinstance(entry, SourceNode) else topology.repartition_topic(entry)

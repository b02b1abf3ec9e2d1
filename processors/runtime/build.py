"""From the nodes of a sub-topology to the operators of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processors.operators.aggregate import CountOperator, FoldOperator
from processors.operators.kernel import KeyedStates
from processors.operators.sink import Encoder, Outbox, SinkOperator
from processors.operators.source import SourceOperator
from processors.operators.stateless import (
    FilterOperator,
    FlatMapOperator,
    ItemsOperator,
    MapKeyOperator,
    MapOperator,
    MergeOperator,
    RecordsOperator,
)
from processors.runtime.exchange import Exchange, SendOperator, SendThroughTopicOperator
from processors.runtime.task import Stage, Step, Task
from processors.topology.graph import (
    AggregateNode,
    CountNode,
    FilterNode,
    FlatMapNode,
    GroupNode,
    ItemsNode,
    KeyedNode,
    MapKeyNode,
    MapNode,
    MergeNode,
    Node,
    RecordsNode,
    ReduceNode,
    SinkNode,
    SourceNode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from processors.operators.operator import Failures, Operator
    from processors.state.cached import KeyValueState
    from processors.topology.partitioning import PartitionedTopology
    from processors.topology.subtopology import Entry, SubTopology


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What operators are connected to.

    Attributes:
        stores: By store name and partition.
        coordinates: Topic, partition and offset of the records with these tickets.
        through_topic: Whether exchanges go through their topics.
        max_bytes: The largest batch that a topic takes.
    """

    plan: PartitionedTopology
    stores: Mapping[tuple[str, int], KeyValueState]
    exchanges: Mapping[GroupNode, Exchange]
    failures: Failures
    outbox: Outbox
    coordinates: Callable[[Sequence[int]], list[tuple[str, int, int]]]
    through_topic: bool
    max_bytes: Callable[[str], int]


def build_source(entry: Entry, parts: Parts) -> SourceOperator:
    """What reads a topic for an entry; for an exchange, its repartition topic."""
    reads = parts.plan.topology.reads[entry]
    decoded = reads.values or isinstance(entry, SourceNode)
    return SourceOperator(
        entry.path,
        entry.key if reads.keys else None,
        entry.value if decoded else None,
        parts.failures,
    )


def build_task(sub: SubTopology, partitions: tuple[int, ...], parts: Parts) -> Task:
    topology = parts.plan.topology
    entries: dict[int, list[Entry]] = {}
    steps: dict[int, list[Step]] = {}
    for entry in sub.entries:
        entries.setdefault(topology.levels[entry], []).append(entry)
    for node in sub.nodes:
        if isinstance(node, KeyedNode) and partitions[0] >= parts.plan.store_partitions[node]:
            continue  # what reaches it has fewer partitions than other entries of the task
        step = Step(node, topology.parents[node], _operator(node, partitions, parts))
        sending = isinstance(node, GroupNode)
        steps.setdefault(topology.levels[node] - sending, []).append(step)
    stages = [
        Stage(level, tuple(entries.get(level, ())), tuple(steps.get(level, ())))
        for level in sorted({*entries, *steps})
    ]
    return Task(sub, partitions, stages)


def _operator(node: Node, partitions: tuple[int, ...], parts: Parts) -> Operator:
    failures = parts.failures
    match node:
        case MapNode(path=path, function=function):
            return MapOperator(path, function, failures)
        case MapKeyNode(path=path, function=function):
            return MapKeyOperator(path, function, failures)
        case FilterNode(path=path, function=function):
            return FilterOperator(path, function, failures)
        case FlatMapNode(path=path, function=function):
            return FlatMapOperator(path, function, failures)
        case ItemsNode(path=path):
            return ItemsOperator(path)
        case RecordsNode(path=path):
            return RecordsOperator(path, parts.coordinates)
        case MergeNode(path=path):
            return MergeOperator(path)
        case GroupNode():
            return _sender(node, parts)
        case SinkNode(path=path, topic=topic):
            encoder = Encoder(path, node.key, node.value, failures, f"to({topic!r})")
            return SinkOperator(path, topic, parts.max_bytes(topic), encoder, parts.outbox)
        case KeyedNode():
            states = [parts.stores[node.path, partition] for partition in partitions]
            return _keyed(node, KeyedStates(states), failures)
        case _:
            raise AssertionError(f"{node.path}: no operator for a {node.kind}")


def _sender(node: GroupNode, parts: Parts) -> Operator:
    exchange = parts.exchanges[node]
    encoder = Encoder(node.path, node.key, node.value, parts.failures, "group_by")
    if parts.through_topic:
        return SendThroughTopicOperator(node.path, exchange, encoder, parts.outbox)
    return SendOperator(node.path, exchange, encoder)


def _keyed(node: KeyedNode, states: KeyedStates, failures: Failures) -> Operator:
    function: Any = None
    initial: Any = None
    match node:
        case CountNode():
            return CountOperator(node.path, states, node.emit)
        case ReduceNode():
            function = node.function
        case AggregateNode():
            function, initial = node.function, node.initial
        case _:
            raise AssertionError(f"{node.path}: no operator for a {node.kind}")
    return FoldOperator(node.path, states, node.emit, function, initial, failures)
